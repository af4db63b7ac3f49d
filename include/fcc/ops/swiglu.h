#pragma once

#include <ATen/core/Tensor.h>

namespace fcc {

/// silu(gate) ⊙ up of the two halves of the last dimension: [..., 2F] → [..., F]. Differentiable.
at::Tensor swiglu(const at::Tensor& gate_up); // [..., 2F]: gate first, then up

/// The forward by itself, not recorded by autograd.
at::Tensor swiglu_forward(const at::Tensor& gate_up);

/// The gradient of both halves, [..., 2F].
at::Tensor swiglu_backward(
    const at::Tensor& grad,     // [..., F]
    const at::Tensor& gate_up); // [..., 2F]

} // namespace fcc
