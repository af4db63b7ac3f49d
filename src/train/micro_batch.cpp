#include "fcc/train/micro_batch.h"

#include <algorithm>
#include <cstdint>

#include <ATen/ops/empty.h>

namespace fcc {
namespace {

/// `values` as a CPU tensor of another element type, then on `device`.
template <typename To, typename From>
at::Tensor to_tensor(
    const std::vector<From>& values,
    at::IntArrayRef shape,
    at::ScalarType dtype,
    at::Device device) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
  std::copy(values.begin(), values.end(), tensor.data_ptr<To>());
  return tensor.to(device);
}

} // namespace

MicroBatch to_micro_batch(
    const Batch& batch,
    const std::vector<double>& coefficients,
    at::Device device,
    at::ScalarType dtype) {
  const std::int64_t num_rows = batch.shape.batch_size;
  const auto length = static_cast<std::int64_t>(batch.ids.size()) / num_rows;
  MicroBatch result;
  result.ids = to_tensor<std::int64_t>(batch.ids, {num_rows, length}, at::kLong, device);
  result.targets = to_tensor<std::int64_t>(batch.targets, {num_rows, length}, at::kLong, device);
  result.coefficients =
      to_tensor<double>(coefficients, {num_rows, length}, at::kDouble, device).to(dtype);
  const std::vector<std::uint8_t>& starts = batch.segment_starts_document;
  if (std::find(starts.begin(), starts.end(), std::uint8_t{1}) != starts.end()) {
    const auto num_segments = static_cast<std::int64_t>(starts.size()) / num_rows;
    result.segment_starts_document =
        to_tensor<bool>(starts, {num_rows, num_segments}, at::kBool, device);
  }
  result.num_prefix_segments = batch.shape.num_prefix_segments;
  return result;
}

at::Tensor answer_mask(
    const Batch& batch,
    const std::vector<double>& coefficients,
    at::Device device,
    at::ScalarType dtype) {
  std::vector<double> mask(batch.answer.size());
  bool any = false;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const bool counts = batch.answer[i] != 0 && coefficients[i] != 0.0;
    mask[i] = counts ? 1.0 : 0.0;
    any = any || counts;
  }
  if (!any) {
    return {};
  }
  const std::int64_t num_rows = batch.shape.batch_size;
  const auto length = static_cast<std::int64_t>(mask.size()) / num_rows;
  return to_tensor<double>(mask, {num_rows, length}, at::kDouble, device).to(dtype);
}

} // namespace fcc
