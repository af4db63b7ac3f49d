#include "fcc/io/atomic_directory.h"
#include "fcc/model/hugging_face.h"
#include "fcc_convert/commands.h"

namespace fcc::tools {
namespace fs = std::filesystem;

ModelFiles open_model(const fs::path& directory) {
  return {directory, load_model_config(directory), SafetensorsDirectory(directory)};
}

bool verify_if_manifest(const fs::path& directory) {
  std::error_code absent;
  if (!fs::exists(directory / "manifest.json", absent)) {
    return false;
  }
  verify_manifest(directory);
  return true;
}

DType main_dtype(const ModelFiles& model) {
  return model.weights.at("model.embed_tokens.weight").dtype;
}

std::string architecture_text(const ModelConfig& config) {
  std::string text(config.fcc ? enum_name(config.fcc->arch) : "llama");
  if (config.fcc) {
    text += ", segments of " + std::to_string(config.fcc->segment_length);
  }
  return text;
}

std::string with_commas(std::int64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3; i -= 3) {
    text.insert(i - 3, 1, ',');
  }
  return text;
}

std::string dtype_text(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return "float64";
    case DType::kF32:
      return "float32";
    case DType::kBF16:
      return "bfloat16";
    case DType::kF16:
      return "float16";
    default:
      return std::string(dtype_name(dtype));
  }
}

TensorTotals total_of(const SafetensorsDirectory& weights) {
  TensorTotals totals;
  for (const TensorView& tensor : weights.tensors()) {
    const auto num_bytes = static_cast<std::int64_t>(tensor.bytes.size());
    totals.num_bytes += num_bytes;
    totals.num_elements += num_bytes / dtype_bytes(tensor.dtype);
  }
  return totals;
}

} // namespace fcc::tools
