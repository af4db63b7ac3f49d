#pragma once

#include <ostream>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "fcc/model/parameters.h"

namespace fcc::test {

/// A shape of ugly sizes: H·E ≠ D, grouped heads, segments of 5.
inline ModelConfig tiny_config(Architecture arch) {
  ModelConfig config;
  config.vocab_size = 29;
  config.hidden_size = 12;
  config.intermediate_size = 17;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 6;
  config.rope_theta = 100.0;
  config.tie_word_embeddings = false;
  config.initializer_range = 0.3;
  if (arch != Architecture::kLlama) {
    config.fcc = FccConfig{.arch = arch, .segment_length = 5};
    config.fcc->num_local_layers = arch == Architecture::kLocalGlobal ? 2 : 0;
    config.fcc->num_memory_tokens = arch == Architecture::kRmt ? 3 : 0;
  }
  return config;
}

struct NamedConfig {
  std::string name;
  ModelConfig config;

  friend void PrintTo(const NamedConfig& named, std::ostream* stream) {
    *stream << named.name;
  }
};

/// Every architecture, and `condensation` with every option (DESIGN.md, section 3.1).
inline std::vector<NamedConfig> all_tiny_configs() {
  std::vector<NamedConfig> all{
      {"llama", tiny_config(Architecture::kLlama)},
      {"condensation", tiny_config(Architecture::kCondensation)},
      {"local_global", tiny_config(Architecture::kLocalGlobal)},
      {"infini_attention", tiny_config(Architecture::kInfiniAttention)},
      {"rmt", tiny_config(Architecture::kRmt)},
      {"titans_mag", tiny_config(Architecture::kTitansMag)}};
  const auto add = [&](const std::string& name, auto change) {
    all.push_back({name, tiny_config(Architecture::kCondensation)});
    change(all.back().config);
  };
  add("norm_none", [](ModelConfig& c) { c.fcc->memory_norm = MemoryNorm::kNone; });
  add("norm_own", [](ModelConfig& c) { c.fcc->memory_norm = MemoryNorm::kOwn; });
  add("positions_global",
      [](ModelConfig& c) { c.fcc->memory_positions = MemoryPositions::kGlobal; });
  add("positions_same", [](ModelConfig& c) { c.fcc->memory_positions = MemoryPositions::kSame; });
  add("positions_none", [](ModelConfig& c) { c.fcc->memory_positions = MemoryPositions::kNone; });
  add("source_input", [](ModelConfig& c) { c.fcc->memory_source = MemorySource::kInput; });
  add("first_zeros", [](ModelConfig& c) { c.fcc->first_memory = FirstMemory::kZeros; });
  add("first_learned", [](ModelConfig& c) { c.fcc->first_memory = FirstMemory::kLearned; });
  add("all_at_once", [](ModelConfig& c) {
    c.fcc->memory_norm = MemoryNorm::kOwn;
    c.fcc->memory_positions = MemoryPositions::kGlobal;
    c.fcc->memory_source = MemorySource::kInput;
    c.fcc->first_memory = FirstMemory::kLearned;
    c.tie_word_embeddings = true;
    c.rope_scaling = RopeScaling{.factor = 4.0, .original_max_position_embeddings = 16};
  });
  add("segments_of_one", [](ModelConfig& c) { c.fcc->segment_length = 1; });
  return all;
}

/// New weights, norms and those of memory off their starting values too.
inline FlatParameters tiny_parameters(
    const ModelConfig& config,
    ComputeDType dtype = ComputeDType::kFloat64) {
  const at::NoGradGuard no_gradients;
  FlatParameters parameters(config, dtype, at::kCPU, 239);
  for (const NamedTensor& named : parameters.named(parameters.master())) {
    if (named.name.find("norm") != std::string::npos ||
        named.name.find("initial_memory") != std::string::npos ||
        named.name.find("memory_") != std::string::npos) {
      at::Tensor view = named.tensor;
      view.add_(at::randn(view.sizes(), view.options()), 0.3);
    }
  }
  parameters.update_compute();
  return parameters;
}

inline at::Tensor tiny_ids(const ModelConfig& config, std::int64_t rows, std::int64_t length) {
  return at::randint(config.vocab_size, {rows, length}, at::kLong);
}

} // namespace fcc::test
