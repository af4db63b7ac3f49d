#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fcc/model/parameters.h"
#include "fcc/text/tokenizer.h"

namespace fcc {

/// `float64`, `float32`, `bfloat16`, or `auto`: bfloat16 on a GPU, float32 on a CPU. Errors:
/// `ConfigError`.
ComputeDType dtype_from_option(const std::string& name, at::Device device);

/// A model ready to be read from, and its tokenizer.
struct LoadedModel {
  FlatParameters parameters; ///< `compute()` holds the weights; made for inference
  ModelWeights weights;      ///< views of `parameters.compute()`
  std::shared_ptr<const Tokenizer> tokenizer;
  TokenizerConfig tokenizer_policy; ///< whether texts begin with BOS
  ComputeDType dtype = ComputeDType::kFloat32;

  const ModelConfig& config() const {
    return parameters.config();
  }
};

/// Where a model and its tokenizer come from and where they go.
struct LoadOptions {
  std::filesystem::path directory;      ///< Hugging Face layout, as `fcc-train` saves it
  std::optional<std::string> tokenizer; ///< `bytes`, a file or a directory; default: `directory`
  at::Device device = at::kCPU;
  ComputeDType dtype = ComputeDType::kFloat32;
};

/// Reads a model directory. Errors: `ConfigError` if the directory, a file or the tokenizer is
/// missing, or the tokenizer's vocabulary is larger than the model's; `FormatError` on malformed
/// files.
LoadedModel load_model(const LoadOptions& options);

/// Whether special tokens written out in a text (`<|im_start|>`) are tokens or plain text.
enum class SpecialTokens { kEscaped, kParsed };

/// Token ids of a text that goes on after others, without BOS.
std::vector<std::int32_t> encode_text(
    const LoadedModel& model,
    const std::string& text,
    SpecialTokens special = SpecialTokens::kEscaped);

/// Token ids of a text as the model was trained to see a document's start: BOS first where the
/// tokenizer's policy says so (once, if the text itself begins with it).
std::vector<std::int32_t> encode_prompt(
    const LoadedModel& model,
    const std::string& text,
    SpecialTokens special = SpecialTokens::kEscaped);

} // namespace fcc
