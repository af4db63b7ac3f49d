#include "fcc/model/tensor_io.h"

#include <array>
#include <cstring>
#include <utility>

#include <ATen/ops/empty.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::array<std::pair<DType, at::ScalarType>, 12> kTypes{{
    {DType::kF64, at::kDouble},
    {DType::kF32, at::kFloat},
    {DType::kBF16, at::kBFloat16},
    {DType::kF16, at::kHalf},
    {DType::kI64, at::kLong},
    {DType::kI32, at::kInt},
    {DType::kU32, at::kUInt32},
    {DType::kI16, at::kShort},
    {DType::kU16, at::kUInt16},
    {DType::kI8, at::kChar},
    {DType::kU8, at::kByte},
    {DType::kBool, at::kBool},
}};

} // namespace

DType file_dtype(at::ScalarType type) {
  for (const auto& [file, tensor] : kTypes) {
    if (tensor == type) {
      return file;
    }
  }
  throw Error("file_dtype", "must be a type that safetensors holds", c10::toString(type));
}

at::ScalarType tensor_dtype(DType type) {
  return kTypes[static_cast<std::size_t>(type)].second;
}

at::Tensor read_tensor(const TensorView& view) {
  at::Tensor tensor = at::empty(view.shape, at::TensorOptions().dtype(tensor_dtype(view.dtype)));
  if (!view.bytes.empty()) {
    std::memcpy(tensor.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
  }
  return tensor;
}

TensorView file_view(const std::string& name, const at::Tensor& tensor) {
  check(
      tensor.is_cpu() && tensor.is_contiguous(),
      "file_view",
      "the tensor must be contiguous and on the CPU",
      name);
  return {
      name,
      file_dtype(tensor.scalar_type()),
      tensor.sizes().vec(),
      {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

} // namespace fcc
