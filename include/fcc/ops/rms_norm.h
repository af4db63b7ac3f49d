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

} // namespace fcc
