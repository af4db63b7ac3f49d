#pragma once

#include <ATen/core/Tensor.h>

namespace fcc {

/// silu(gate) ⊙ up of the two halves of the last dimension: [..., 2F] → [..., F].
/// Computed in float32 for bfloat16 inside each of the two products. Differentiable.
at::Tensor swiglu(const at::Tensor& gate_up); // [..., 2F]: gate first, then up

} // namespace fcc
