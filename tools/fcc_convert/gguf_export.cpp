// `convert` to a GGUF file: a plain Llama, as llama.cpp runs it.

#include <algorithm>
#include <cstdio>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/io/gguf.h"
#include "fcc/model/gguf_model.h"
#include "fcc/model/hugging_face.h"
#include "fcc/text/gguf_tokenizer.h"
#include "fcc_convert/commands.h"

namespace fcc::tools {
namespace {

GgufType gguf_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return GgufType::kF32;
    case DType::kF16:
      return GgufType::kF16;
    case DType::kBF16:
      return GgufType::kBF16;
    default:
      throw ConfigError(
          "--dtype", "must be float32, float16 or bfloat16 for a GGUF file", dtype_text(dtype));
  }
}

/// What llama.cpp calls a file whose matrices are of a type.
std::int64_t file_type(GgufType type) {
  constexpr std::int64_t kAllF32 = 0, kMostlyF16 = 1, kMostlyBF16 = 32;
  return type == GgufType::kF32 ? kAllF32 : type == GgufType::kF16 ? kMostlyF16 : kMostlyBF16;
}

/// The weight in the order of rows that llama.cpp has, cast.
void append_rows(
    const ModelConfig& config,
    const TensorView& weight,
    DType dtype,
    const AppendBytes& append) {
  require_finite(weight);
  if (row_for_gguf(config, weight.name, 1) == 1) {
    append_as(weight.name, weight.dtype, weight.bytes, dtype, append);
    return;
  }
  const auto rows = static_cast<std::size_t>(weight.shape[0]);
  const std::size_t row_bytes = weight.bytes.size() / rows;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto from =
        static_cast<std::size_t>(row_for_gguf(config, weight.name, static_cast<std::int64_t>(row)));
    append_as(
        weight.name,
        weight.dtype,
        weight.bytes.subspan(from * row_bytes, row_bytes),
        dtype,
        append);
  }
}

} // namespace

void export_gguf(const GgufExport& arguments) {
  const ModelFiles model = open_model(arguments.input);
  require_model_type(arguments.input);
  ModelConfig config = model.config;
  const bool has_memory = config.fcc.has_value();
  if (has_memory && config.fcc->arch == Architecture::kLocalGlobal) {
    throw ConfigError(
        arguments.input, "llama.cpp has no local layers", "local_global", "export another model");
  }
  config.fcc.reset();
  check_weights(config, model.weights, arguments.input); // refuses weights for memory by name
  verify_if_manifest(arguments.input);
  const DType dtype = arguments.dtype.value_or(main_dtype(model));
  const GgufType type = gguf_type(dtype);

  auto metadata = gguf_model_metadata(config);
  metadata.emplace_back("general.name", model.directory.filename().string());
  metadata.emplace_back("general.file_type", file_type(type));
  if (arguments.with_tokenizer) {
    for (auto& entry : gguf_tokenizer_metadata(model.directory, config.vocab_size)) {
      metadata.push_back(std::move(entry));
    }
  }
  const std::vector<WeightShape> weights = weight_shapes(config);
  std::vector<GgufHeader> headers;
  for (const WeightShape& weight : weights) {
    // llama.cpp wants vectors in float32.
    headers.push_back(
        {gguf_tensor_name(weight.name),
         weight.shape.size() == 1 ? GgufType::kF32 : type,
         weight.shape});
  }
  const std::vector<float> factors = gguf_rope_factors(config);
  if (!factors.empty()) {
    headers.push_back({"rope_freqs.weight", GgufType::kF32, {std::ssize(factors)}});
  }
  write_gguf(arguments.output, metadata, headers, [&](std::size_t i, const AppendBytes& append) {
    if (i == weights.size()) {
      append(std::as_bytes(std::span(factors)));
    } else {
      const bool is_vector = weights[i].shape.size() == 1;
      append_rows(
          config, model.weights.at(weights[i].name), is_vector ? DType::kF32 : dtype, append);
    }
  });
  if (has_memory) {
    std::fprintf(
        stderr,
        "the GGUF file is a plain Llama: memory from segment to segment is lost in it, llama.cpp "
        "runs full attention with the same weights\n");
  }
  std::printf(
      "%s: llama; %zu tensors, %s\n",
      arguments.output.c_str(),
      headers.size(),
      dtype_text(dtype).c_str());
}

} // namespace fcc::tools
