#pragma once

#include "fcc/config/run_config.h"

namespace fcc::tools {

/// Prints what a run would be and need; writes nothing. Two steps are measured for the time where
/// they are cheap.
int dry_run(const RunConfig& config);

/// Prints the JSON schema of a run's configuration.
void print_schema();

/// Prints every key of a run's configuration with its type, range, default and meaning.
void print_keys();

} // namespace fcc::tools
