#pragma once

#include <memory>
#include <string>

#include "fcc/engine/executor.h"
#include "fcc/generate/loaded_model.h"

namespace CLI {
class App;
}

namespace fcc::tools {

/// What every program that reads a model asks for on its command line.
struct ModelOptions {
  std::string model, tokenizer;
  std::string device = "auto", dtype = "auto";
  std::string execution = "auto"; ///< where the program offers it
  int threads = 0;
};

/// Adds --model, --tokenizer, --device, --dtype and --threads.
void add_model_options(CLI::App& app, ModelOptions& options);

/// Adds --execution, for programs that run whole segments.
void add_execution_option(CLI::App& app, ModelOptions& options);

/// What --execution comes down to for the model that the command line names; `fused` by name where
/// it does not serve the model is refused. Errors: `ConfigError`, `FormatError`, `IoError`.
Execution chosen_execution(const ModelOptions& options);

/// The executor that --execution asks for, `auto` as `choose_execution` has it. `documents_reset`:
/// memory is cut inside rows. Errors: `ConfigError`.
std::unique_ptr<Executor>
make_executor(const ModelOptions& options, LoadedModel& model, bool documents_reset = false);

/// Loads the model that the command line names.
LoadedModel load_model(const ModelOptions& options);

/// `runs/book/final/` → `book/final`: what a report calls the model.
std::string model_name(const ModelOptions& options);

} // namespace fcc::tools
