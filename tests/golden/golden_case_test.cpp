#include "golden/golden_case.h"

#include <algorithm>
#include <cstdlib>

#include "fcc/config/strict_json.h"
#include "fcc/core/json.h"
#include "fcc/data/loss_coefficients.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/tensor_io.h"
#include "support/places.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones_like.h>

namespace fcc {
namespace {

// A tensor's elements as the type that `Batch` wants.
template <typename T>
std::vector<T> elements(const at::Tensor& tensor, at::ScalarType type) {
  const at::Tensor converted = tensor.to(type).contiguous();
  const T* data = converted.const_data_ptr<T>();
  return {data, data + converted.numel()};
}

} // namespace

std::vector<std::filesystem::path> GoldenCase::all() {
  const char* folder = std::getenv("FCC_GOLDEN_DIR");
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(
           folder != nullptr ? folder : source_dir() + "/tests/golden")) {
    if (entry.path().extension() == ".safetensors") {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

GoldenCase::GoldenCase(const std::filesystem::path& path) : file(path) {
  config = parse_model_config(file.metadata().at("config"), path.string());
  const JsonValue training =
      parse_json_without_duplicates(file.metadata().at("training"), path.string());
  if (const JsonValue* kind = training.find("loss")) {
    loss =
        *kind->as<std::string>() == "token_mean" ? LossKind::kTokenMean : LossKind::kSegmentMeanSum;
  }
  if (const JsonValue* cut = training.find("bptt_segments"); cut != nullptr && !cut->is_null()) {
    bptt_segments = *cut->as<std::int64_t>();
  }
  ids = read_tensor(file.at("input_ids")).to(at::kLong);
  logits = read_tensor(file.at("logits")).to(at::kDouble);
  loss_value = read_tensor(file.at("loss")).to(at::kDouble).item<double>();
}

std::unique_ptr<FlatParameters> GoldenCase::parameters(ComputeDType dtype) const {
  auto parameters = std::make_unique<FlatParameters>(config, dtype, at::kCPU, 1);
  const at::NoGradGuard no_grad;
  for (const NamedTensor& weight : parameters->named(parameters->master())) {
    weight.tensor.copy_(read_tensor(file.at(weight.name)));
  }
  parameters->update_compute();
  return parameters;
}

MicroBatch GoldenCase::micro_batch(ComputeDType dtype) const {
  const at::Tensor labels = read_tensor(file.at("labels")).to(at::kLong);
  const std::int64_t T = ids.size(1);
  Batch batch;
  batch.shape.batch_size = ids.size(0);
  batch.shape.segment_length =
      config.arch() == Architecture::kLlama ? T : config.fcc->segment_length;
  batch.shape.num_segments = (T + batch.shape.segment_length - 1) / batch.shape.segment_length;
  batch.targets = elements<std::int32_t>(labels, at::kInt);
  if (file.contains("target_weights")) {
    batch.target_weights = elements<float>(read_tensor(file.at("target_weights")), at::kFloat);
  }
  LossCounts counts;
  count_targets(batch, counts);
  std::vector<double> coefficients = loss_coefficients(batch, counts, loss);

  MicroBatch micro;
  micro.ids = ids;
  micro.targets = labels;
  micro.coefficients =
      at::from_blob(coefficients.data(), labels.sizes(), at::kDouble)
          .to(dtype == ComputeDType::kFloat64 ? at::kDouble : at::kFloat, false, true);
  if (file.contains("segment_starts_document")) {
    micro.segment_starts_document = read_tensor(file.at("segment_starts_document")).to(at::kBool);
  }
  return micro;
}

at::Tensor GoldenCase::grad(const std::string& name) const {
  return read_tensor(file.at("grad." + name)).to(at::kDouble);
}

} // namespace fcc
