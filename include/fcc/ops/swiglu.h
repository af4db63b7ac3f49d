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

// In the out-forms C counts cells of neighbouring layers (each with its own weights), R the rows of
// one cell (batch × tokens). They write into memory that the caller owns; tensors may be strided in
// their first dimension (a diagonal of the hidden grid), rows and columns are contiguous. Dtypes:
// bfloat16, float32 or float64; sums are taken in float32 at least.

/// out = silu(gate) ⊙ up (SwiGLU, arXiv 2002.05202). gate_up [C, R, 2F], gate first; out [C, R, F].
void swiglu_forward(const at::Tensor& gate_up, at::Tensor out);

/// Overwrites gate_up [C, R, 2F] with its gradient, and `hidden` [C, R, F], the gradient of the
/// forward's output, with that output: the weight gradient of the next product needs it, and
/// whoever computes it again here need not have kept it.
void swiglu_backward_in_place(at::Tensor hidden, at::Tensor gate_up);

} // namespace fcc
