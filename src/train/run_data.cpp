#include "fcc/train/run_data.h"

#include <optional>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/core/error_at.h"

namespace fcc {
namespace {

/// The tokenizer is the model's: the section names none.
bool takes_models_tokenizer(const RunConfig& config) {
  const TokenizerConfig& tokenizer = config.data.tokenizer;
  return config.model.path && !tokenizer.path && tokenizer.type == TokenizerKind::kAuto;
}

std::shared_ptr<const Tokenizer> open_tokenizer(
    const RunConfig& config,
    const TokenizerConfig& tokenizer) {
  const char* const key = takes_models_tokenizer(config) ? "model.path" : "data.tokenizer.path";
  return with_place(key, [&] { return make_tokenizer(tokenizer); });
}

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

/// Stages with data of their own draw other rows than data.train from the same files.
std::uint64_t loader_seed(std::int64_t seed, std::size_t index) {
  return static_cast<std::uint64_t>(seed) + (static_cast<std::uint64_t>(index) << 40);
}

} // namespace

TokenizerConfig resolve_tokenizer_config(const RunConfig& config) {
  TokenizerConfig tokenizer = config.data.tokenizer;
  if (takes_models_tokenizer(config)) {
    tokenizer.path = config.model.path;
  }
  return with_saved_policy(std::move(tokenizer));
}

RunData open_run_data(const RunConfig& config, const ModelConfig& model) {
  refuse_prefix_without_memory(model, config.train.stages);
  const TokenizerConfig tokenizer = resolve_tokenizer_config(config);
  RunData data;
  data.tokenizer = open_tokenizer(config, tokenizer);
  if (data.tokenizer->vocab_size() > model.vocab_size) {
    throw ConfigError(
        "model",
        "vocab_size must be at least the tokenizer's " +
            std::to_string(data.tokenizer->vocab_size()),
        std::to_string(model.vocab_size));
  }
  const auto add_loader = [&](const std::vector<DatasetConfig>& datasets, const std::string& key) {
    const Loader& loader = data.loaders.emplace_back(make_loader(
        datasets,
        data.tokenizer,
        loader_seed(config.train.seed, data.loaders.size()),
        marks_of(tokenizer),
        key));
    for (const auto& dataset : loader.datasets()) {
      data.fingerprints.push_back(dataset->fingerprint());
    }
    return data.loaders.size() - 1;
  };
  std::optional<std::size_t> shared;
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    const StageConfig& stage = config.train.stages[i];
    if (!stage.data && !shared) {
      shared = add_loader(config.data.train, "data.train");
    }
    data.loader_of_stage.push_back(
        stage.data ? add_loader(*stage.data, "train.stages." + std::to_string(i) + ".data")
                   : *shared);
  }
  data.validator = std::make_unique<Validator>(
      config, marks_of(tokenizer), segment_length_of(model), data.tokenizer);
  return data;
}

std::int64_t segment_length_of(const ModelConfig& config) {
  return config.fcc.value_or(FccConfig{}).segment_length;
}

} // namespace fcc
