#pragma once

#include <ATen/core/Tensor.h>

namespace fcc {

/// The dtype in which sums over `x` are taken: float64 stays, everything else float32.
inline at::ScalarType sum_dtype(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

} // namespace fcc
