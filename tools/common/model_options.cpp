#include "common/model_options.h"

#include <filesystem>
#include <optional>

#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

namespace fcc::tools {

void add_model_options(CLI::App& app, ModelOptions& options) {
  const std::string group = "Model";
  app.add_option(
         "-m,--model",
         options.model,
         "Directory with config.json, weights and tokenizer (as fcc-train saves it)")
      ->required()
      ->type_name("DIR")
      ->group(group);
  app.add_option(
         "--tokenizer", options.tokenizer, "Another tokenizer file or directory than the model's")
      ->type_name("PATH")
      ->group(group);
  app.add_option("--device", options.device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str()
      ->type_name("NAME")
      ->group(group);
  app.add_option(
         "--dtype",
         options.dtype,
         "float64, float32, bfloat16, or auto (bfloat16 on a GPU, float32 on a CPU)")
      ->capture_default_str()
      ->type_name("NAME")
      ->group(group);
  app.add_option("--threads", options.threads, "CPU threads; 0: as many as torch chooses")
      ->check(CLI::Range(0, 4096))
      ->type_name("N")
      ->group(group);
}

LoadedModel load_model(const ModelOptions& options, bool for_executor) {
  if (options.threads > 0) {
    at::set_num_threads(options.threads);
  }
  const at::Device device = device_from_name(options.device);
  LoadOptions load;
  load.directory = options.model;
  if (!options.tokenizer.empty()) {
    load.tokenizer = options.tokenizer;
  }
  load.device = device;
  load.dtype = dtype_from_option(options.dtype, device);
  load.for_executor = for_executor;
  return fcc::load_model(load);
}

std::string model_name(const ModelOptions& options) {
  std::filesystem::path path = std::filesystem::absolute(options.model).lexically_normal();
  if (path.filename().empty()) {
    path = path.parent_path();
  }
  return (path.parent_path().filename() / path.filename()).string();
}

} // namespace fcc::tools
