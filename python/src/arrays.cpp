#include "arrays.h"

#include <string>
#include <vector>

#include <ATen/ops/from_blob.h>

#include "fcc/core/error.h"

namespace fcc::python {
namespace {

nb::dlpack::dtype dlpack_type(at::ScalarType type) {
  using Code = nb::dlpack::dtype_code;
  const auto of = [](Code code, std::uint8_t bits) {
    return nb::dlpack::dtype{static_cast<std::uint8_t>(code), bits, 1};
  };
  switch (type) {
    case at::kDouble:
      return of(Code::Float, 64);
    case at::kFloat:
      return of(Code::Float, 32);
    case at::kHalf:
      return of(Code::Float, 16);
    case at::kBFloat16:
      return of(Code::Bfloat, 16);
    case at::kLong:
      return of(Code::Int, 64);
    case at::kBool:
      return of(Code::Bool, 8);
    default:
      throw Error("fcc", "no array has elements of this type", c10::toString(type));
  }
}

at::ScalarType tensor_type(const nb::dlpack::dtype& type) {
  const auto code = static_cast<nb::dlpack::dtype_code>(type.code);
  const bool is_signed = code == nb::dlpack::dtype_code::Int;
  if (type.lanes == 1 && (is_signed || code == nb::dlpack::dtype_code::UInt)) {
    switch (type.bits) {
      case 8:
        return is_signed ? at::kChar : at::kByte;
      case 16:
        return is_signed ? at::kShort : at::kUInt16;
      case 32:
        return is_signed ? at::kInt : at::kUInt32;
      case 64:
        return is_signed ? at::kLong : at::kUInt64;
      default:
        break;
    }
  }
  throw nb::type_error("ids must be whole numbers");
}

template <typename... Framework>
nb::object cast(const at::Tensor& tensor) {
  // The array owns a reference to the tensor.
  auto owner = std::make_unique<at::Tensor>(tensor);
  nb::capsule capsule(
      owner.get(), [](void* held) noexcept { delete static_cast<at::Tensor*>(held); });
  owner.release(); // NOLINT(bugprone-unused-return-value)
  const auto dimensions = static_cast<std::size_t>(tensor.dim());
  const std::vector<std::size_t> shape(tensor.sizes().begin(), tensor.sizes().end());
  const std::vector<std::int64_t> strides(tensor.strides().begin(), tensor.strides().end());
  const bool on_gpu = tensor.is_cuda();
  return nb::cast(nb::ndarray<Framework...>(
      tensor.data_ptr(),
      dimensions,
      shape.data(),
      capsule,
      strides.data(),
      dlpack_type(tensor.scalar_type()),
      on_gpu ? nb::device::cuda::value : nb::device::cpu::value,
      on_gpu ? tensor.get_device() : 0));
}

} // namespace

nb::object to_array(const at::Tensor& tensor, ArrayKind kind) {
  switch (kind) {
    case ArrayKind::kTorch:
      return cast<nb::pytorch>(tensor);
    case ArrayKind::kDlpack:
      return cast<nb::array_api>(tensor);
    case ArrayKind::kNumpy:
      break;
  }
  const bool widens = tensor.scalar_type() == at::kBFloat16;
  return cast<nb::numpy>(tensor.to(at::kCPU, widens ? at::kFloat : tensor.scalar_type()));
}

at::Tensor to_ids(const IdArray& array) {
  const auto dimensions = static_cast<std::int64_t>(array.ndim());
  const at::ScalarType type = tensor_type(array.dtype());
  std::vector<std::int64_t> shape, strides;
  for (std::size_t i = 0; i < array.ndim(); ++i) {
    shape.push_back(static_cast<std::int64_t>(array.shape(i)));
    strides.push_back(array.stride(i));
  }
  check(
      dimensions == 1 || dimensions == 2,
      "ids",
      "must have the shape [t] or [B, t]",
      std::to_string(dimensions) + " dimensions");
  const bool on_gpu = array.device_type() == nb::device::cuda::value;
  check(
      on_gpu || array.device_type() == nb::device::cpu::value,
      "ids",
      "must lie on the CPU or on a CUDA device");
  const at::Device device =
      on_gpu ? at::Device(at::kCUDA, static_cast<at::DeviceIndex>(array.device_id())) : at::kCPU;
  // Nothing is written through the view: the copy is made before it goes.
  const at::Tensor view = at::from_blob(
      const_cast<void*>(array.data()), // NOLINT(cppcoreguidelines-pro-type-const-cast)
      shape,
      strides,
      at::TensorOptions().dtype(type).device(device));
  const at::Tensor ids = view.to(at::kLong, /*non_blocking=*/false, /*copy=*/true).contiguous();
  return dimensions == 1 ? ids.unsqueeze(0) : ids;
}

} // namespace fcc::python
