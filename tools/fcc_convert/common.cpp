#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/tensor_io.h"
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

bool has_tokenizer(const fs::path& directory) {
  const auto names = {"fcc_tokenizer.json", "tokenizer.json", "tokenizer.model", "vocabulary.txt"};
  return std::any_of(
      names.begin(), names.end(), [&](const char* name) { return fs::exists(directory / name); });
}

void require_model_type(const fs::path& directory) {
  const fs::path file = directory / "config.json";
  const JsonValue root = parse_json_without_duplicates(read_file(file), file.string());
  const JsonValue* type = root.find("model_type");
  if (type == nullptr || type->is_null()) {
    throw FormatError(
        file.string(),
        "needs the key `model_type`, without which no other program knows the model",
        {},
        "if it is a Llama, add \"model_type\": \"llama\"");
  }
}

void for_each_block(
    const TensorView& weight,
    const std::function<void(const at::Tensor& block)>& work) {
  constexpr std::size_t kBlockElements = std::size_t{1} << 22;
  const at::NoGradGuard no_grad;
  const auto width = static_cast<std::size_t>(dtype_bytes(weight.dtype));
  for (std::size_t begin = 0; begin < weight.bytes.size(); begin += kBlockElements * width) {
    const auto part =
        weight.bytes.subspan(begin, std::min(kBlockElements * width, weight.bytes.size() - begin));
    const auto count = static_cast<std::int64_t>(part.size() / width);
    work(read_tensor({weight.name, weight.dtype, {count}, part}));
  }
}

void require_finite(const TensorView& weight) {
  for_each_block(weight, [&](const at::Tensor& block) {
    if (!at::isfinite(block).all().item<bool>()) {
      throw FormatError(weight.name, "must hold finite numbers", "NaN or infinity");
    }
  });
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
