#include "fcc/model/hugging_face.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <system_error>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/aminmax.h>

#include "fcc/core/error.h"
#include "fcc/core/nearest.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/tensor_io.h"
#include "model/hashed_config.h"

namespace fcc {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

bool is_one_of(const std::vector<MemoryWeightLayout>& weights, const std::string& name) {
  return std::any_of(weights.begin(), weights.end(), [&](const MemoryWeightLayout& weight) {
    return name.ends_with("." + weight.name);
  });
}

void check_weight(const TensorView& source, const WeightShape& target, const std::string& where) {
  const bool floating = source.dtype == DType::kF64 || source.dtype == DType::kF32 ||
                        source.dtype == DType::kBF16 || source.dtype == DType::kF16;
  if (!floating) {
    throw FormatError(
        where,
        target.name + " must be float64, float32, bfloat16 or float16",
        std::string(dtype_name(source.dtype)));
  }
  if (source.shape != target.shape) {
    throw FormatError(
        where,
        target.name + " must have shape " + shape_text(target.shape),
        shape_text(source.shape));
  }
}

void require_finite(const at::Tensor& values, const std::string& name, const std::string& where) {
  const auto [least, largest] = at::aminmax(values.flatten()); // either is NaN where a value is
  if (!std::isfinite(least.item<double>()) || !std::isfinite(largest.item<double>())) {
    throw FormatError(where, name + " must hold finite numbers", "NaN or infinity");
  }
}

// What older files hold beside the weights, without effect on the model: RoPE's frequencies, and
// the head of a tied model if it is the embedding once more.
bool is_harmless(
    const TensorView& view,
    const SafetensorsDirectory& files,
    const ModelConfig& config) {
  if (view.name.ends_with(".rotary_emb.inv_freq")) {
    return true;
  }
  const char* embedding = "model.embed_tokens.weight";
  if (view.name != "lm_head.weight" || !config.tie_word_embeddings || !files.contains(embedding)) {
    return false;
  }
  const TensorView& shared = files.at(embedding);
  return view.dtype == shared.dtype && view.shape == shared.shape &&
         std::equal(view.bytes.begin(), view.bytes.end(), shared.bytes.begin(), shared.bytes.end());
}

} // namespace

std::vector<std::string> check_weights(
    const ModelConfig& config,
    const SafetensorsDirectory& files,
    const std::string& where) {
  // Compared before the weights are named one by one: a damaged count would name them for hours.
  if (config.num_hidden_layers > static_cast<std::int64_t>(files.tensors().size())) {
    throw FormatError(
        where,
        "must hold the weights of num_hidden_layers = " + std::to_string(config.num_hidden_layers) +
            " layers",
        std::to_string(files.tensors().size()) + " weights");
  }
  const std::vector<MemoryWeightLayout> memory_weights = MemoryPolicy(config).weights();
  std::vector<std::string> fresh, names;
  std::set<std::string> known;
  for (const WeightShape& weight : weight_shapes(config)) {
    known.insert(weight.name);
    names.push_back(weight.name);
    if (files.contains(weight.name)) {
      check_weight(files.at(weight.name), weight, where);
    } else if (is_one_of(memory_weights, weight.name) || weight.name == "model.memory_tokens") {
      fresh.push_back(weight.name);
    } else {
      throw FormatError(where, "lacks the weight " + weight.name);
    }
  }
  for (const TensorView& view : files.tensors()) {
    if (!known.contains(view.name) && !is_harmless(view, files, config)) {
      throw FormatError(
          where,
          "holds a weight that the model has no place for",
          view.name,
          nearest_hint(view.name, names));
    }
  }
  return fresh;
}

std::vector<std::string> load_weights(
    FlatParameters& parameters,
    const std::filesystem::path& directory) {
  const at::NoGradGuard no_grad;
  // A flipped bit in a weight changes the model in silence. What a run wrote can be proved whole;
  // the optimizer's states, several times as large, are not read here.
  verify_listed_files(directory, [](const std::string& name) {
    return name != "optimizer.safetensors" && name != "trainer.json";
  });
  const SafetensorsDirectory files(directory);
  std::vector<std::string> fresh =
      check_weights(parameters.whole_config(), files, directory.string());
  const bool trained = parameters.master().defined();
  for (const NamedTensor& weight :
       parameters.named(trained ? parameters.master() : parameters.compute())) {
    if (files.contains(weight.name)) {
      const at::Tensor values = read_tensor(files.at(weight.name));
      require_finite(values, weight.name, directory.string());
      weight.tensor.copy_(values);
    }
  }
  parameters.update_compute();
  return fresh;
}

void save_model(
    const FlatParameters& parameters,
    const at::Tensor& flat,
    DType dtype,
    const std::filesystem::path& directory,
    std::int64_t max_shard_bytes) {
  const at::NoGradGuard no_grad;
  std::vector<NamedTensor> tensors = parameters.named(flat);
  std::vector<TensorView> views;
  for (NamedTensor& weight : tensors) {
    weight.tensor = weight.tensor.to(at::kCPU, tensor_dtype(dtype)).contiguous();
    views.push_back(file_view(weight.name, weight.tensor));
  }
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    throw IoError(directory.string(), "the directory cannot be made", error.message());
  }
  write_file_atomic(directory / "config.json", model_config_json(parameters.config(), dtype));
  write_safetensors_directory(directory, views, max_shard_bytes);
}

std::string model_hash(const FlatParameters& parameters) {
  const at::NoGradGuard no_grad;
  std::string text = hashed_config_text(parameters.config());
  for (const NamedTensor& weight : parameters.named(parameters.compute())) {
    const at::Tensor values = weight.tensor.to(at::kCPU, at::kBFloat16).contiguous();
    const std::string_view bytes(
        static_cast<const char*>(values.const_data_ptr()), values.nbytes());
    text += weight.name + " " + sha256_hex(bytes) + "\n";
  }
  return sha256_hex(text);
}

} // namespace fcc
