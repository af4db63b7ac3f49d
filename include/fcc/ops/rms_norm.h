#pragma once

#include <ATen/core/Tensor.h>

#include "fcc/ops/grad_target.h"

namespace fcc {

/// y = x / sqrt(mean(x²) + eps) · weight over the last dimension (Llama's RMSNorm).
///
/// Computed in float32 for bfloat16 and float16 and rounded once at the end; float32 and float64
/// stay what they are. Differentiable in both arguments.
at::Tensor rms_norm(
    const at::Tensor& x,      // [..., D]
    const at::Tensor& weight, // [D]
    double eps);

struct RmsNormOutput {
  at::Tensor y;           ///< [..., D]
  at::Tensor inverse_rms; ///< [..., 1] 1 / sqrt(mean(x²) + eps), float32 at least
};

/// The forward by itself, not recorded by autograd.
RmsNormOutput rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps);

struct RmsNormGradients {
  at::Tensor x;      ///< [..., D]
  at::Tensor weight; ///< [D] float32 at least
};

/// With r = inverse_rms and h = grad_y · weight: dx = r·(h - x·r²·mean(h·x)), dweight = Σ
/// grad_y·x·r.
RmsNormGradients rms_norm_backward(
    const at::Tensor& grad_y,       // [..., D]
    const at::Tensor& x,            // [..., D]
    const at::Tensor& weight,       // [D]
    const at::Tensor& inverse_rms); // [..., 1]

// In the out-forms C counts cells of neighbouring layers (each with its own weights), R the rows of
// one cell (batch × tokens). They write into memory that the caller owns; tensors may be strided in
// their first dimension (a diagonal of the hidden grid), rows and columns are contiguous. Dtypes:
// bfloat16, float32 or float64; sums are taken in float32 at least.

/// The same over cells, rounded where `rms_norm` rounds.
/// x, out [C, R, D]; weight [C, D].
void rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor out);

/// [norm(memory) ; norm(x)] in one pass, each with its own weight: the rows that keys and values
/// are made of (arXiv 2405.04620, eq. 14). memory [C, M, D], x [C, R, D]; both weights [C, D]; out
/// [C, M + R, D], the memory's rows first.
void rms_norm_forward_with_memory(
    const at::Tensor& memory,
    const at::Tensor& memory_weight,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    at::Tensor out);

/// grad_x (+)= residual + d rms_norm(x)/dx · grad_out; grad_weight += Σ over rows of grad_out ⊙ x̂.
/// residual [C, R, D] or undefined; grad_weight [C, D] float32/float64, undefined: left out.
/// The inverse root is computed again from x, which the pass reads anyway.
void rms_norm_backward(
    const at::Tensor& grad_out,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    const at::Tensor& residual,
    const GradTarget& grad_x,
    at::Tensor grad_weight);

} // namespace fcc
