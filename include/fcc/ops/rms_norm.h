#pragma once

#include <ATen/core/Tensor.h>

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

} // namespace fcc
