#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/field.h"

namespace fcc {

class Problems;

enum class Architecture {
  kLlama,
  kCondensation,
  kLocalGlobal,
  kInfiniAttention, ///< Munkhdalai et al. 2024
  kRmt,             ///< Recurrent Memory Transformer, Bulatov et al. 2022
  kTitansMag        ///< Titans, memory as a gate; Behrouz et al. 2024
};
enum class MemoryNorm { kShared, kNone, kOwn };
enum class MemoryPositions { kWindow, kGlobal, kSame, kNone };
enum class MemorySource { kOutput, kInput };
enum class MemoryGradient { kFlow, kStop };
enum class FirstMemory { kAbsent, kZeros, kLearned };

/// Llama-3 frequency scaling of RoPE (`rope_type: llama3`).
struct RopeScaling {
  std::string rope_type = "llama3";
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 8192;
};

/// The section `fcc` of `config.json`: how segments and memory work (arXiv 2405.04620, section
/// III).
struct FccConfig {
  Architecture arch = Architecture::kCondensation;
  std::int64_t segment_length = 512; ///< L, tokens
  std::int64_t num_local_layers = 0; ///< local_global only
  MemoryNorm memory_norm = MemoryNorm::kShared;
  MemoryPositions memory_positions = MemoryPositions::kWindow;
  MemorySource memory_source = MemorySource::kOutput;
  FirstMemory first_memory = FirstMemory::kAbsent;
  MemoryGradient memory_gradient = MemoryGradient::kFlow;
  std::int64_t num_memory_tokens = 0; ///< m, rmt only
};

/// A model's `config.json`, with Hugging Face's names. Without `fcc` it is a plain Llama.
struct ModelConfig {
  std::int64_t vocab_size = 0;          ///< V
  std::int64_t hidden_size = 0;         ///< D
  std::int64_t intermediate_size = 0;   ///< F
  std::int64_t num_hidden_layers = 0;   ///< N (local_global: the global stack's)
  std::int64_t num_attention_heads = 0; ///< H
  std::int64_t num_key_value_heads = 0; ///< G
  std::int64_t head_dim = 0;            ///< E, a key of its own: never D/H by default
  double rms_norm_eps = 1e-5;
  double rope_theta = 500000.0;
  std::optional<RopeScaling> rope_scaling;
  bool tie_word_embeddings = true;
  std::int64_t max_position_embeddings = 131072;
  double initializer_range = 0.02;
  std::optional<FccConfig> fcc;

  Architecture arch() const {
    return fcc ? fcc->arch : Architecture::kLlama;
  }
};

/// What `fcc.arch` may say: a plain Llama is said by leaving the section out.
template <>
struct EnumNames<Architecture> {
  static constexpr std::array<std::pair<std::string_view, Architecture>, 5> value{
      {{"condensation", Architecture::kCondensation},
       {"local_global", Architecture::kLocalGlobal},
       {"infini_attention", Architecture::kInfiniAttention},
       {"rmt", Architecture::kRmt},
       {"titans_mag", Architecture::kTitansMag}}};
};
template <>
struct EnumNames<MemoryNorm> {
  static constexpr std::array<std::pair<std::string_view, MemoryNorm>, 3> value{
      {{"shared", MemoryNorm::kShared}, {"none", MemoryNorm::kNone}, {"own", MemoryNorm::kOwn}}};
};
template <>
struct EnumNames<MemoryPositions> {
  static constexpr std::array<std::pair<std::string_view, MemoryPositions>, 4> value{
      {{"window", MemoryPositions::kWindow},
       {"global", MemoryPositions::kGlobal},
       {"same", MemoryPositions::kSame},
       {"none", MemoryPositions::kNone}}};
};
template <>
struct EnumNames<MemorySource> {
  static constexpr std::array<std::pair<std::string_view, MemorySource>, 2> value{
      {{"output", MemorySource::kOutput}, {"input", MemorySource::kInput}}};
};
template <>
struct EnumNames<MemoryGradient> {
  static constexpr std::array<std::pair<std::string_view, MemoryGradient>, 2> value{
      {{"flow", MemoryGradient::kFlow}, {"stop", MemoryGradient::kStop}}};
};
template <>
struct EnumNames<FirstMemory> {
  static constexpr std::array<std::pair<std::string_view, FirstMemory>, 3> value{
      {{"absent", FirstMemory::kAbsent},
       {"zeros", FirstMemory::kZeros},
       {"learned", FirstMemory::kLearned}}};
};

template <typename Visitor>
void visit(Visitor& v, RopeScaling& c) {
  v.field("rope_type", c.rope_type, {.doc = "Only `llama3`."});
  v.field("factor", c.factor, {.doc = "Division of the lowest frequencies.", .min = 1});
  v.field(
      "low_freq_factor",
      c.low_freq_factor,
      {.doc = "Wavelengths over original/this are divided.", .min = 0, .above_min = true});
  v.field(
      "high_freq_factor",
      c.high_freq_factor,
      {.doc = "Wavelengths under original/this are kept.", .min = 0, .above_min = true});
  v.field(
      "original_max_position_embeddings",
      c.original_max_position_embeddings,
      {.doc = "Positions of the first training, tokens.", .min = 1});
}

template <typename Visitor>
void visit(Visitor& v, FccConfig& c) {
  v.field("arch", c.arch, {.doc = "Architecture; a plain Llama has no section `fcc`."});
  v.field(
      "segment_length",
      c.segment_length,
      {.doc = "Tokens in a segment (L).", .min = 1, .max = 1 << 24});
  v.field(
      "num_local_layers",
      c.num_local_layers,
      {.doc = "Layers of the local stack (local_global only).", .min = 0, .max = 10000});
  v.field(
      "memory_norm",
      c.memory_norm,
      {.doc = "Norm of the memory: the layer's own input norm, none, or one of its own."});
  v.field(
      "memory_positions",
      c.memory_positions,
      {.doc = "RoPE positions of memory keys: window = global (0..L-1 before L..2L-1), same (both "
              "from 0), none (memory not rotated)."});
  v.field(
      "memory_source",
      c.memory_source,
      {.doc = "The layer's output (FCC) or its input (Transformer-XL) is remembered."});
  v.field(
      "first_memory",
      c.first_memory,
      {.doc = "Memory of the first segment: absent, L rows of zeros, or learned."});
  v.field(
      "memory_gradient",
      c.memory_gradient,
      {.doc = "The gradient flows through the memory (FCC) or stops at it (ERNIE-Doc; with "
              "memory_source `input`, Transformer-XL)."});
  v.field(
      "num_memory_tokens",
      c.num_memory_tokens,
      {.doc = "Memory tokens that a segment reads, and that it writes (rmt only).",
       .min = 0,
       .max = 1 << 20});
}

template <typename Visitor>
void visit(Visitor& v, ModelConfig& c) {
  v.field(
      "vocab_size",
      c.vocab_size,
      {.doc = "Tokens in the vocabulary (V).", .min = 1, .max = 2147483647, .required = true});
  v.field(
      "hidden_size",
      c.hidden_size,
      {.doc = "Model width (D).", .min = 1, .max = 1 << 24, .required = true});
  v.field(
      "intermediate_size",
      c.intermediate_size,
      {.doc = "MLP width (F).", .min = 1, .max = 1 << 24, .required = true});
  v.field(
      "num_hidden_layers",
      c.num_hidden_layers,
      {.doc = "Layers (N).", .min = 1, .max = 10000, .required = true});
  v.field(
      "num_attention_heads",
      c.num_attention_heads,
      {.doc = "Query heads (H).", .min = 1, .max = 65536, .required = true});
  v.field(
      "num_key_value_heads",
      c.num_key_value_heads,
      {.doc = "Key/value heads (G); divides H.", .min = 1, .max = 65536, .required = true});
  v.field(
      "head_dim",
      c.head_dim,
      {.doc = "Head width (E); even.", .min = 2, .max = 65536, .required = true});
  v.field(
      "rms_norm_eps", c.rms_norm_eps, {.doc = "Added to the mean square in RMSNorm.", .min = 0});
  v.field("rope_theta", c.rope_theta, {.doc = "RoPE base.", .min = 1});
  v.field("rope_scaling", c.rope_scaling, {.doc = "Llama-3 frequency scaling, or null."});
  v.field(
      "tie_word_embeddings",
      c.tie_word_embeddings,
      {.doc = "The head shares the embedding's weight."});
  v.field(
      "max_position_embeddings",
      c.max_position_embeddings,
      {.doc = "Positions the model was made for, tokens (informative).", .min = 1});
  v.field(
      "initializer_range",
      c.initializer_range,
      {.doc = "Standard deviation of new weights.", .min = 0});
  v.field("fcc", c.fcc, {.doc = "Segments and memory; null or absent: a plain Llama."});
}

/// The keys of the section that mean something for `arch`; the others stay at their defaults and
/// out of a model's `config.json`. One that came later (`memory_gradient`) is left out there at its
/// default too, so that models keep their hashes.
std::vector<std::string> keys_of(Architecture arch);

/// Rules between the keys of the section: what has no meaning for an architecture is refused by
/// name; `llama` is said by leaving the section out.
void check_rules(const FccConfig& config, Problems& problems);

/// Rules between the keys (G divides H, E even, local_global's refusals, …).
void check_rules(const ModelConfig& config, Problems& problems);

/// A named shape: `llama-3.2-1b`, `llama-3.2-3b`, `table-1` (the paper's, 126,489,088 parameters).
/// Errors: `ConfigError` on an unknown name, listing the known ones.
ModelConfig model_preset(const std::string& name);

} // namespace fcc
