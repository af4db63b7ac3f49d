#include <algorithm>
#include <utility>

#include "fcc/config/problems.h"
#include "fcc/core/error.h"
#include "fcc/core/error_at.h"
#include "fcc/model/device.h"
#include "fcc/model/hugging_face.h"
#include "fcc/train/trainer.h"

namespace fcc {
ModelConfig resolve_model_config(const ModelSection& section) {
  ModelConfig config;
  if (section.path) {
    config = with_place("model.path", [&] { return load_model_config(*section.path); });
  } else if (section.preset) {
    config = model_preset(*section.preset);
  } else if (section.config) {
    config = *section.config;
  } else {
    throw ConfigError("model", "needs one of path, preset and config");
  }
  if (section.fcc) {
    config.fcc = section.fcc;
    Problems problems("model");
    check_rules(config, problems);
    problems.throw_if_any();
  }
  return config;
}

namespace {

/// The tokenizer is the model's: the section names none.
bool takes_models_tokenizer(const RunConfig& config) {
  const TokenizerConfig& tokenizer = config.data.tokenizer;
  return config.model.path && !tokenizer.path && tokenizer.type == TokenizerKind::kAuto;
}

std::shared_ptr<const Tokenizer> open_tokenizer(const RunConfig& config) {
  const char* const key = takes_models_tokenizer(config) ? "model.path" : "data.tokenizer.path";
  return with_place(key, [&] { return make_tokenizer(resolve_tokenizer_config(config)); });
}

} // namespace

TokenizerConfig resolve_tokenizer_config(const RunConfig& config) {
  TokenizerConfig tokenizer = config.data.tokenizer;
  if (takes_models_tokenizer(config)) {
    tokenizer.path = config.model.path;
  }
  return with_saved_policy(std::move(tokenizer));
}

namespace {

void refuse_prefix_without_memory(
    const ModelConfig& model,
    const std::vector<StageConfig>& stages) {
  for (std::size_t i = 0; i < stages.size() && model.arch() == Architecture::kLlama; ++i) {
    if (stages[i].prefix_segments.max() > 0) {
      throw ConfigError(
          "train.stages." + std::to_string(i) + ".prefix_segments",
          "a plain Llama has no memory to hand on from a prefix",
          "up to " + std::to_string(stages[i].prefix_segments.max()),
          "leave it 0, or give the model an fcc section");
    }
  }
}

bool resets_memory(const std::vector<DatasetConfig>& datasets) {
  return std::any_of(datasets.begin(), datasets.end(), [](const DatasetConfig& dataset) {
    return dataset.document_memory == DocumentMemory::kReset;
  });
}

} // namespace

std::vector<StepShape> longest_steps(const RunConfig& config, const ModelConfig& model) {
  std::vector<StepShape> steps;
  for (const StageConfig& stage : config.train.stages) {
    StepShape& step = steps.emplace_back();
    step.batch = stage.batch_size.value_or(config.train.batch_size);
    step.num_segments = stage.segments.max();
    step.num_prefix_segments = stage.prefix_segments.max();
    step.segment_length = segment_length_of(model);
    if (model.arch() == Architecture::kLlama) {
      step.segment_length *= step.num_segments;
      step.num_segments = 1;
    }
  }
  return steps;
}

EngineContext engine_context(const RunConfig& config, const ModelConfig& model) {
  bool resets = resets_memory(config.data.train) || resets_memory(config.data.validation);
  for (const StageConfig& stage : config.train.stages) {
    resets = resets || (stage.data && resets_memory(*stage.data));
  }
  return {
      .model = model,
      .device = device_from_name(config.engine.device, "engine.device"),
      .documents_reset = resets};
}

EngineSection resolve_run_engine(const RunConfig& config, const ModelConfig& model) {
  const EngineContext context = engine_context(config, model);
  return resolve_engine(
      config.engine,
      context,
      longest_steps(config, model),
      config.engine.memory_gib ? 0 : available_memory_bytes(context.device));
}

void check_data(const RunConfig& config) {
  const std::shared_ptr<const Tokenizer> tokenizer = open_tokenizer(config);
  const DocumentMarks marks = marks_of(resolve_tokenizer_config(config));
  const auto check_section = [&](const std::vector<DatasetConfig>& datasets, const char* key) {
    if (!datasets.empty()) {
      make_loader(datasets, tokenizer, /*seed=*/0, marks, key);
    }
  };
  check_section(config.data.train, "data.train");
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    const std::string key = "train.stages." + std::to_string(i) + ".data";
    check_section(config.train.stages[i].data.value_or(std::vector<DatasetConfig>{}), key.c_str());
  }
  check_section(config.data.validation, "data.validation");
}

TrainerParts make_trainer_parts(const RunConfig& config) {
  const ModelConfig model = resolve_model_config(config.model);
  refuse_prefix_without_memory(model, config.train.stages);
  TrainerParts parts;
  parts.tokenizer = open_tokenizer(config);
  if (parts.tokenizer->vocab_size() > model.vocab_size) {
    throw ConfigError(
        "model",
        "vocab_size must be at least the tokenizer's " +
            std::to_string(parts.tokenizer->vocab_size()),
        std::to_string(model.vocab_size));
  }
  parts.engine = resolve_run_engine(config, model);
  parts.parameters = std::make_unique<FlatParameters>(
      model,
      config.engine.dtype,
      device_from_name(config.engine.device, "engine.device"),
      config.model.path ? std::nullopt
                        : std::optional(static_cast<std::uint64_t>(config.train.seed)),
      config.optim.freeze,
      config.model.init);
  if (config.model.path) {
    load_weights(*parts.parameters, *config.model.path);
  }
  parts.executor = make_executor(*parts.parameters, parts.engine);
  return parts;
}

std::int64_t segment_length_of(const ModelConfig& config) {
  return config.fcc.value_or(FccConfig{}).segment_length;
}

} // namespace fcc
