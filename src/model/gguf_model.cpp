#include "fcc/model/gguf_model.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <set>

#include "fcc/config/problems.h"
#include "fcc/core/error.h"
#include "fcc/io/gguf.h"
#include "fcc/model/parameters.h"

namespace fcc {
namespace {

std::string where_of(const GgufFile& file) {
  return file.path().string();
}

/// The decimal number that a float32 was made from: 1e-05, not 9.99999974737875e-06.
double decimal_of(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  double wide = 0;
  std::from_chars(text, end, wide);
  return wide;
}

std::int64_t required_whole(const GgufFile& file, const std::string& key) {
  const auto* value = file.find<std::int64_t>(key);
  if (value == nullptr) {
    const bool present = file.metadata().contains(key);
    throw FormatError(
        where_of(file), "`" + key + "` must be a whole number", present ? "another type" : "none");
  }
  return *value;
}

std::optional<std::int64_t> whole(const GgufFile& file, const std::string& key) {
  return file.metadata().contains(key) ? std::optional(required_whole(file, key)) : std::nullopt;
}

std::optional<double> real(const GgufFile& file, const std::string& key) {
  if (!file.metadata().contains(key)) {
    return std::nullopt;
  }
  const auto* value = file.find<float>(key);
  if (value == nullptr || !std::isfinite(*value)) {
    throw FormatError(where_of(file), "`" + key + "` must be a finite number of type float32");
  }
  return decimal_of(*value);
}

/// Other mathematics than that of a plain Llama, by the keys that say so.
void refuse_other_mathematics(const GgufFile& file) {
  static const std::set<std::string> kKnown{
      "llama.vocab_size",
      "llama.context_length",
      "llama.embedding_length",
      "llama.block_count",
      "llama.feed_forward_length",
      "llama.rope.dimension_count",
      "llama.rope.freq_base",
      "llama.rope.scaling.type",
      "llama.rope.scaling.factor",
      "llama.rope.scaling.original_context_length",
      "llama.rope.scaling.finetuned",
      "llama.attention.head_count",
      "llama.attention.head_count_kv",
      "llama.attention.key_length",
      "llama.attention.value_length",
      "llama.attention.layer_norm_rms_epsilon",
      "llama.expert_count",
      "llama.expert_used_count"};
  const auto* architecture = file.find<std::string>("general.architecture");
  if (architecture == nullptr || *architecture != "llama") {
    throw FormatError(
        where_of(file),
        "only the architecture `llama` is read",
        architecture == nullptr ? "none" : *architecture);
  }
  if (whole(file, "split.count").value_or(1) > 1) {
    throw FormatError(
        where_of(file),
        "must be a whole model",
        "one part of " + std::to_string(*whole(file, "split.count")),
        "llama.cpp's gguf-split --merge joins them");
  }
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with("llama.") && !kKnown.contains(key)) {
      throw FormatError(where_of(file), "holds a key whose effect is not known", key);
    }
  }
  if (whole(file, "llama.expert_count").value_or(0) > 0) {
    throw FormatError(
        where_of(file),
        "mixtures of experts are not supported",
        std::to_string(*whole(file, "llama.expert_count")) + " experts");
  }
  const auto* scaling = file.find<std::string>("llama.rope.scaling.type");
  if (scaling != nullptr && *scaling != "none" && *scaling != "llama3") {
    throw FormatError(where_of(file), "this scaling of RoPE is not supported", *scaling);
  }
}

/// By how much llama.cpp divides each frequency (convert_hf_to_gguf.py, `generate_extra_tensors`).
float scaling_factor(
    const RopeScaling& scaling,
    double theta,
    std::int64_t pair,
    std::int64_t width) {
  const double frequency =
      1.0 / std::pow(theta, static_cast<double>(2 * pair) / static_cast<double>(width));
  const double wavelength = 2 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(scaling.original_max_position_embeddings);
  if (wavelength < original / scaling.high_freq_factor) {
    return 1.0F;
  }
  if (wavelength > original / scaling.low_freq_factor) {
    return static_cast<float>(scaling.factor);
  }
  const double smooth = (original / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return static_cast<float>(1.0 / ((1.0 - smooth) / scaling.factor + smooth));
}

/// The scaling whose factors the file holds: the largest is `factor`, and the original length is
/// the power of two that gives all the others (the models in use have 1 and 4 beside it).
std::optional<RopeScaling> read_rope_scaling(const GgufFile& file, const ModelConfig& config) {
  const GgufTensor* tensor = file.find_tensor("rope_freqs.weight");
  if (tensor == nullptr) {
    return std::nullopt;
  }
  if (tensor->type != GgufType::kF32 ||
      tensor->shape != std::vector<std::int64_t>{config.head_dim / 2}) {
    throw FormatError(
        where_of(file),
        "`rope_freqs.weight` must be " + std::to_string(config.head_dim / 2) + " float32 numbers");
  }
  std::vector<float> factors(static_cast<std::size_t>(config.head_dim / 2));
  dequantize_gguf(tensor->type, tensor->bytes, factors);
  RopeScaling scaling;
  scaling.factor = decimal_of(*std::max_element(factors.begin(), factors.end()));
  for (std::int64_t original = 256; original <= (1 << 24); original *= 2) {
    scaling.original_max_position_embeddings = original;
    bool fits = true;
    for (std::size_t i = 0; i < factors.size() && fits; ++i) {
      const float expected =
          scaling_factor(scaling, config.rope_theta, static_cast<std::int64_t>(i), config.head_dim);
      fits = std::abs(factors[i] - expected) <= 1e-3F * expected;
    }
    if (fits) {
      return scaling;
    }
  }
  throw FormatError(
      where_of(file),
      "`rope_freqs.weight` must be Llama-3's scaling with low_freq_factor 1, high_freq_factor 4 "
      "and "
      "a power of two as original length",
      "other factors");
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

bool is_rotary(const std::string& name) {
  return name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight");
}

/// The row of the file that is row `row` of Hugging Face's q_proj or k_proj.
std::int64_t permuted_row(std::int64_t row, std::int64_t head_dim) {
  const std::int64_t in_head = row % head_dim, half = head_dim / 2;
  return row - in_head + 2 * (in_head % half) + in_head / half;
}

} // namespace

std::string gguf_tensor_name(const std::string& name) {
  static const std::pair<std::string_view, std::string_view> kNames[] = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"},
      {"input_layernorm.weight", "attn_norm.weight"},
      {"post_attention_layernorm.weight", "ffn_norm.weight"},
      {"self_attn.q_proj.weight", "attn_q.weight"},
      {"self_attn.k_proj.weight", "attn_k.weight"},
      {"self_attn.v_proj.weight", "attn_v.weight"},
      {"self_attn.o_proj.weight", "attn_output.weight"},
      {"mlp.gate_proj.weight", "ffn_gate.weight"},
      {"mlp.up_proj.weight", "ffn_up.weight"},
      {"mlp.down_proj.weight", "ffn_down.weight"}};
  constexpr std::string_view kLayers = "model.layers.";
  std::string prefix;
  std::string_view rest = name;
  if (name.starts_with(kLayers)) {
    const std::size_t dot = name.find('.', kLayers.size());
    prefix = "blk." + name.substr(kLayers.size(), dot - kLayers.size()) + ".";
    rest = rest.substr(dot + 1);
  }
  for (const auto& [ours, theirs] : kNames) {
    if (ours == rest) {
      return prefix + std::string(theirs);
    }
  }
  throw Error("GGUF", "must be a weight of a plain Llama", name);
}

std::int64_t row_for_gguf(const ModelConfig& config, const std::string& name, std::int64_t row) {
  if (!is_rotary(name)) {
    return row;
  }
  const std::int64_t in_head = row % config.head_dim, half = config.head_dim / 2;
  return row - in_head + in_head / 2 + in_head % 2 * half;
}

std::vector<float> gguf_rope_factors(const ModelConfig& config) {
  std::vector<float> factors;
  for (std::int64_t i = 0; config.rope_scaling && i < config.head_dim / 2; ++i) {
    factors.push_back(scaling_factor(*config.rope_scaling, config.rope_theta, i, config.head_dim));
  }
  return factors;
}

std::vector<std::pair<std::string, GgufValue>> gguf_model_metadata(const ModelConfig& config) {
  return {
      {"general.architecture", std::string("llama")},
      {"llama.vocab_size", config.vocab_size},
      {"llama.context_length", config.max_position_embeddings},
      {"llama.embedding_length", config.hidden_size},
      {"llama.block_count", config.num_hidden_layers},
      {"llama.feed_forward_length", config.intermediate_size},
      {"llama.attention.head_count", config.num_attention_heads},
      {"llama.attention.head_count_kv", config.num_key_value_heads},
      {"llama.attention.key_length", config.head_dim},
      {"llama.attention.value_length", config.head_dim},
      {"llama.attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps)},
      {"llama.rope.dimension_count", config.head_dim},
      {"llama.rope.freq_base", static_cast<float>(config.rope_theta)}};
}

ModelConfig gguf_model_config(const GgufFile& file) {
  refuse_other_mathematics(file);
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) {
    throw FormatError(where_of(file), "must hold the matrix `token_embd.weight`");
  }
  ModelConfig config;
  config.vocab_size = embedding->shape[0];
  config.hidden_size = required_whole(file, "llama.embedding_length");
  config.intermediate_size = required_whole(file, "llama.feed_forward_length");
  config.num_hidden_layers = required_whole(file, "llama.block_count");
  config.num_attention_heads = required_whole(file, "llama.attention.head_count");
  config.num_key_value_heads =
      whole(file, "llama.attention.head_count_kv").value_or(config.num_attention_heads);
  config.max_position_embeddings = required_whole(file, "llama.context_length");
  config.rms_norm_eps = real(file, "llama.attention.layer_norm_rms_epsilon").value_or(1e-5);
  config.rope_theta = real(file, "llama.rope.freq_base").value_or(10000.0);
  config.tie_word_embeddings = file.find_tensor("output.weight") == nullptr;
  if (config.num_attention_heads < 1) {
    throw FormatError(where_of(file), "`llama.attention.head_count` must be at least 1");
  }
  config.head_dim = whole(file, "llama.attention.key_length")
                        .value_or(config.hidden_size / config.num_attention_heads);
  for (const char* key : {"llama.attention.value_length", "llama.rope.dimension_count"}) {
    if (whole(file, key).value_or(config.head_dim) != config.head_dim) {
      throw FormatError(
          where_of(file),
          std::string("`") + key + "` must be the width of a head, " +
              std::to_string(config.head_dim),
          std::to_string(*whole(file, key)));
    }
  }
  Problems problems(where_of(file));
  check_rules(config, problems);
  problems.throw_if_any();
  config.rope_scaling = read_rope_scaling(file, config);
  return config;
}

void check_gguf_weights(const GgufFile& file, const ModelConfig& config) {
  // Compared first: a damaged count would name weights for hours.
  if (config.num_hidden_layers > static_cast<std::int64_t>(file.tensors().size())) {
    throw FormatError(
        where_of(file),
        "must hold the weights of llama.block_count = " + std::to_string(config.num_hidden_layers) +
            " layers",
        std::to_string(file.tensors().size()) + " tensors");
  }
  std::set<std::string> known{"rope_freqs.weight"};
  for (const WeightShape& weight : weight_shapes(config)) {
    const std::string name = gguf_tensor_name(weight.name);
    const GgufTensor* tensor = file.find_tensor(name);
    if (tensor == nullptr) {
      throw FormatError(where_of(file), "lacks the tensor", name);
    }
    if (tensor->shape != weight.shape) {
      throw FormatError(
          where_of(file),
          name + " must have shape " + shape_text(weight.shape),
          shape_text(tensor->shape));
    }
    known.insert(name);
  }
  for (const GgufTensor& tensor : file.tensors()) {
    if (!known.contains(tensor.name)) {
      throw FormatError(
          where_of(file), "holds a tensor that a plain Llama has no place for", tensor.name);
    }
  }
}

void read_gguf_rows(
    const GgufFile& file,
    const ModelConfig& config,
    const std::string& name,
    std::int64_t first_row,
    std::span<float> out) {
  const GgufTensor* tensor = file.find_tensor(gguf_tensor_name(name));
  if (tensor == nullptr) {
    throw FormatError(where_of(file), "lacks the tensor", gguf_tensor_name(name));
  }
  const auto columns = static_cast<std::size_t>(tensor->shape.back());
  const std::size_t rows =
      tensor->shape.size() == 1 ? 1 : static_cast<std::size_t>(tensor->shape[0]);
  const auto first = static_cast<std::size_t>(first_row);
  if (out.size() % columns != 0 || first + out.size() / columns > rows) {
    throw Error(where_of(file), "rows must be whole and lie in the tensor", name);
  }
  const std::size_t row_bytes = tensor->bytes.size() / rows;
  const bool rotary = is_rotary(name);
  for (std::size_t i = 0; i < out.size() / columns; ++i) {
    const std::size_t row = rotary ? static_cast<std::size_t>(permuted_row(
                                         static_cast<std::int64_t>(first + i), config.head_dim))
                                   : first + i;
    dequantize_gguf(
        tensor->type,
        tensor->bytes.subspan(row * row_bytes, row_bytes),
        out.subspan(i * columns, columns));
  }
}

} // namespace fcc
