#pragma once

#include <optional>
#include <string>

#include "fcc/config/run_config.h"

namespace fcc::tools {

/// Prints what a run, or one that goes on from `resume`, would be and need; writes nothing. Some
/// steps are measured for the time where they are cheap. Errors: those of the run.
int dry_run(const RunConfig& config, const std::optional<std::string>& resume);

/// Prints the JSON schema of a run's configuration.
void print_schema();

/// Prints every key of a run's configuration with its type, range, default and meaning.
void print_keys();

} // namespace fcc::tools
