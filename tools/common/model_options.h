#pragma once

#include <string>

#include "fcc/generate/loaded_model.h"

namespace CLI {
class App;
}

namespace fcc::tools {

/// What every program that reads a model asks for on its command line.
struct ModelOptions {
  std::string model, tokenizer;
  std::string device = "auto", dtype = "auto";
  int threads = 0;
};

/// Adds --model, --tokenizer, --device, --dtype and --threads.
void add_model_options(CLI::App& app, ModelOptions& options);

/// Loads the model that the command line names; `for_executor` as in `LoadOptions`.
LoadedModel load_model(const ModelOptions& options, bool for_executor = false);

/// `runs/book/final/` → `book/final`: what a report calls the model.
std::string model_name(const ModelOptions& options);

} // namespace fcc::tools
