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

/// What a plain Llama has no memory for: prefixes, and documents that reset it.
void refuse_memory_of_llama(const RunConfig& config) {
  const auto refuse_resets = [](const std::vector<DatasetConfig>& datasets,
                                const std::string& key) {
    for (std::size_t i = 0; i < datasets.size(); ++i) {
      if (datasets[i].document_memory == DocumentMemory::kReset) {
        throw ConfigError(
            key + "." + std::to_string(i) + ".document_memory",
            "a plain Llama has no memory to reset",
            "reset",
            "leave it out, or give the model an fcc section");
      }
    }
  };
  refuse_resets(config.data.train, "data.train");
  refuse_resets(config.data.validation, "data.validation");
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    const StageConfig& stage = config.train.stages[i];
    const std::string key = "train.stages." + std::to_string(i);
    if (stage.data) {
      refuse_resets(*stage.data, key + ".data");
    }
    if (stage.prefix_segments.max() > 0) {
      throw ConfigError(
          key + ".prefix_segments",
          "a plain Llama has no memory to hand on from a prefix",
          "up to " + std::to_string(stage.prefix_segments.max()),
          "leave it 0, or give the model an fcc section");
    }
  }
}

/// Stages with data of their own draw other rows than data.train from the same files.
std::uint64_t loader_seed(std::int64_t seed, std::size_t index) {
  return static_cast<std::uint64_t>(seed) + (static_cast<std::uint64_t>(index) << 40);
}

} // namespace

void check_memory_of_data(const RunConfig& config, const ModelConfig& model) {
  if (model.arch() == Architecture::kLlama) {
    refuse_memory_of_llama(config);
  }
}

TokenizerConfig resolve_tokenizer_config(
    const RunConfig& config,
    const std::optional<std::filesystem::path>& checkpoint) {
  TokenizerConfig tokenizer = config.data.tokenizer;
  if (takes_models_tokenizer(config)) {
    tokenizer.path = checkpoint ? checkpoint->string() : *config.model.path;
  }
  return with_saved_policy(std::move(tokenizer));
}

RunData open_run_data(
    const RunConfig& config,
    const ModelConfig& model,
    const std::optional<std::filesystem::path>& checkpoint) {
  check_memory_of_data(config, model);
  RunData data;
  const TokenizerConfig tokenizer = resolve_tokenizer_config(config, checkpoint);
  data.tokenizer_config = tokenizer;
  if (takes_models_tokenizer(config)) {
    data.tokenizer_config.path = config.model.path; // as it was asked for, wherever it was read
  }
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
  data.validator = std::make_unique<Validator>(config, marks_of(tokenizer), data.tokenizer);
  return data;
}

std::int64_t segment_length_of(const ModelConfig& config) {
  return config.fcc.value_or(FccConfig{}).segment_length;
}

} // namespace fcc
