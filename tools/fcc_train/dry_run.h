#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fcc/config/run_config.h"
#include "fcc/train/resume.h"

namespace fcc::tools {

struct DryRunOptions {
  std::string config; ///< the configuration's file: recipes beside it tell what makes a model
  std::optional<std::string> resume;
  Course course = Course::kSame;
  std::string card;           ///< to plan for in place of this machine; empty: none
  std::string shape;          ///< preset to plan with where `model.path` is not there
  std::int64_t num_ranks = 1; ///< that share the run; memory is of each
};

/// Prints what a run, or one that goes on, would be and need; writes nothing. Some steps are
/// measured for the time where they are cheap. Paths that are not there are listed with what makes
/// them; the exit code is then 1, unless it is planned for a card. Errors: those of the run, and
/// `ConfigError` where it does not fit the card.
int dry_run(const RunConfig& config, const DryRunOptions& options);

/// Prints the JSON schema of a run's configuration.
void print_schema();

/// Prints every key of a run's configuration with its type, range, default and meaning.
void print_keys();

} // namespace fcc::tools
