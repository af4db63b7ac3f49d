#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include <ATen/core/Tensor.h>

#include "fcc/config/model_config.h"
#include "fcc/core/dtype.h"
#include "fcc/io/safetensors.h"

namespace CLI {
class App;
}

namespace fcc::tools {

/// Each adds one subcommand to `app`; when it is chosen, `run` becomes its work.
void add_check(CLI::App& app, std::function<int()>& run);
void add_print(CLI::App& app, std::function<int()>& run);
void add_convert(CLI::App& app, std::function<int()>& run);

/// A model directory whose weights are mapped, not read.
struct ModelFiles {
  std::filesystem::path directory;
  ModelConfig config;
  SafetensorsDirectory weights;
};

/// Opens a directory; the weights are not yet checked against the configuration.
/// Errors: as `load_model_config`.
ModelFiles open_model(const std::filesystem::path& directory);

/// What `convert` was asked for, where IN is a GGUF file.
struct GgufArguments {
  std::string input;
  std::filesystem::path output; ///< made, atomically
  DType dtype = DType::kBF16;
  std::optional<FccConfig> fcc;
  std::int64_t max_shard_bytes = std::int64_t{5} << 30;
  bool with_tokenizer = true;
  bool remote_code = false; ///< as `add_remote_code`
};

/// Writes the model of a GGUF file as a Hugging Face directory; the configuration of the result.
/// Errors: `FormatError` naming what is not supported.
ModelConfig convert_gguf(const GgufArguments& arguments);

/// What `convert` was asked for, where OUT is a GGUF file.
struct GgufExport {
  std::string input, output;
  std::optional<DType> dtype; ///< left out: the embedding's
  bool with_tokenizer = true;
};

/// Writes a model directory as a GGUF file, which holds a plain Llama: says on standard error that
/// memory is lost. Errors: `ConfigError` and `FormatError` naming what llama.cpp has no place for.
void export_gguf(const GgufExport& arguments);

/// Whether a path is a GGUF file: a file whose name ends so.
bool is_gguf(const std::filesystem::path& path);

/// Turns block by block what was read into `dtype`; refuses values that it cannot hold.
void append_as(
    const std::string& name,
    DType from,
    std::span<const std::byte> bytes,
    DType to,
    const std::function<void(std::span<const std::byte>)>& append);

/// What a weight for memory begins with that a plain Llama lacks.
void write_new_weight(
    const TensorHeader& header,
    const std::function<void(std::span<const std::byte>)>& append);

/// Writes the Python code of a model with memory beside it, and says so in its `config.json`, so
/// that transformers run it with `trust_remote_code=True`.
void add_remote_code(const std::filesystem::path& directory);

/// Errors: `ConfigError` of `--remote-code` on a plain Llama, which needs none.
void require_memory(const ModelConfig& config);

/// Checks size and hash of every file if the directory has a `manifest.json`; whether it has.
bool verify_if_manifest(const std::filesystem::path& directory);

/// Refuses a `config.json` without `model_type`, by which Hugging Face's loaders know a model, and
/// which alone tells a Llama from a model of equal weights and other mathematics.
void require_model_type(const std::filesystem::path& directory);

/// Refuses a weight that holds NaN or infinity. Memory does not grow with it.
void require_finite(const TensorView& weight);

/// Calls `work` for the tensor's elements in order, a bounded number at once: [n], on the CPU.
void for_each_block(
    const TensorView& weight,
    const std::function<void(const at::Tensor& block)>& work);

/// Whether a directory holds a tokenizer's file.
bool has_tokenizer(const std::filesystem::path& directory);

/// The element type of the embedding: what `torch_dtype` says of a model.
DType main_dtype(const ModelFiles& model);

/// `condensation, segments of 512` or `llama`.
std::string architecture_text(const ModelConfig& config);

/// 1234567 → 1,234,567
std::string with_commas(std::int64_t number);

/// `float32` for F32 and so on, as a `config.json` says it; the format's own name otherwise.
std::string dtype_text(DType dtype);

/// Elements of all tensors together, and their bytes.
struct TensorTotals {
  std::int64_t num_elements = 0, num_bytes = 0;
};
TensorTotals total_of(const SafetensorsDirectory& weights);

} // namespace fcc::tools
