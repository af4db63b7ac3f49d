#pragma once

#include <ATen/core/Tensor.h>

#include "fcc/ops/grad_target.h"

namespace fcc {

// In the out-forms C counts cells of neighbouring layers (each with its own weights), R the rows of
// one cell (batch × tokens). They write into memory that the caller owns; tensors may be strided in
// their first dimension (a diagonal of the hidden grid), rows and columns are contiguous. Dtypes:
// bfloat16, float32 or float64; sums are taken in float32 at least.

/// out[c] = a[c] · w[c]ᵀ (+ residual[c]).
/// a [C, R, K], w [C, O, K], residual [C, R, O] or undefined, out [C, R, O]; out may be residual.
void linear_forward(
    const at::Tensor& a,
    const at::Tensor& w,
    const at::Tensor& residual,
    at::Tensor out);

/// grad_a[c] (+)= grad_out[c] · w[c]. grad_out [C, R, O], w [C, O, K], a.grad [C, R, K].
void linear_backward_input(const at::Tensor& grad_out, const at::Tensor& w, const GradTarget& a);

/// grad_w (+)= grad_outᵀ · a, summed in the dtype of w.grad.
/// grad_out [R, O], a [R, K] in the compute dtype; w.grad [O, K] float32 or float64.
void linear_backward_weight(const at::Tensor& grad_out, const at::Tensor& a, const GradTarget& w);

} // namespace fcc
