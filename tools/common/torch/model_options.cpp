#include "common/torch/model_options.h"

#include <filesystem>
#include <optional>

#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

#include "fcc/core/error.h"
#include "fcc/engine/engine_choice.h"
#include "fcc/engine/make_executor.h"
#include "fcc/model/device.h"
#include "fcc/model/hugging_face.h"

namespace fcc::tools {
namespace {

constexpr std::int64_t kTinyHiddenSize = 256;

} // namespace

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
         "--tokenizer",
         options.tokenizer,
         "Another tokenizer than the model's: bytes, a file or a directory")
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
  app.add_option(
         "--threads",
         options.threads,
         "CPU threads; 0: one for a tiny model, four beside a GPU, else as many as torch chooses")
      ->check(CLI::Range(0, 4096))
      ->type_name("N")
      ->group(group);
}

void add_execution_option(CLI::App& app, ModelOptions& options) {
  app.add_option(
         "--execution",
         options.execution,
         "reference, fused, or auto (fused on a GPU where it supports the model)")
      ->capture_default_str()
      ->check(CLI::IsMember(enum_names<Execution>()))
      ->type_name("NAME")
      ->group("Model");
}

namespace {

EnginePlan plan_of(const ModelOptions& options, ComputeDType dtype, const EngineContext& context) {
  EngineSection engine;
  engine.dtype = dtype;
  for (const auto& [name, value] : EnumNames<Execution>::value) {
    engine.execution = name == options.execution ? value : engine.execution;
  }
  return plan_engine(engine, context);
}

} // namespace

Execution chosen_execution(const ModelOptions& options) {
  const ModelConfig model = load_model_config(options.model);
  if (!model.fcc && options.execution == "auto") {
    return Execution::kReference; // a plain Llama's keys and values stay in the stream
  }
  if (!model.fcc && options.execution == "fused") {
    throw ConfigError("--execution", "`fused` hands on memory, which a plain Llama does not have");
  }
  const at::Device device = device_from_name(options.device, "--device");
  return plan_of(
             options, dtype_from_option(options.dtype, device), {.model = model, .device = device})
      .execution;
}

std::unique_ptr<Executor>
make_executor(const ModelOptions& options, LoadedModel& model, bool documents_reset) {
  const EngineContext context{
      .model = model.config(),
      .device = model.parameters.compute().device(),
      .documents_reset = documents_reset};
  return fcc::make_executor(model.parameters, plan_of(options, model.dtype, context));
}

LoadedModel load_model(const ModelOptions& options) {
  const at::Device device = device_from_name(options.device, "--device");
  set_cpu_threads(options.threads, device);
  LoadOptions load;
  load.directory = options.model;
  if (!options.tokenizer.empty()) {
    load.tokenizer = options.tokenizer;
  }
  load.device = device;
  load.dtype = dtype_from_option(options.dtype, device);
  LoadedModel model = fcc::load_model(load);
  // Products this small gain nothing from a second thread, and on a busy machine they wait for it.
  if (options.threads == 0 && device.is_cpu() && model.config().hidden_size < kTinyHiddenSize) {
    at::set_num_threads(1);
  }
  return model;
}

std::string model_name(const ModelOptions& options) {
  std::filesystem::path path = std::filesystem::absolute(options.model).lexically_normal();
  if (path.filename().empty()) {
    path = path.parent_path();
  }
  return (path.parent_path().filename() / path.filename()).string();
}

} // namespace fcc::tools
