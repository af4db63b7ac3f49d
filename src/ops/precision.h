#pragma once

#include <ATen/core/Tensor.h>

namespace fcc {

/// The type that sums and exponentials are taken in: float32 for narrower types.
inline at::ScalarType accumulate_type(at::ScalarType type) {
  return type == at::kBFloat16 || type == at::kHalf ? at::kFloat : type;
}

inline at::Tensor widen(const at::Tensor& tensor) {
  return tensor.to(accumulate_type(tensor.scalar_type()));
}

} // namespace fcc
