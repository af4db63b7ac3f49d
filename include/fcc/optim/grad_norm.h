#pragma once

#include <ATen/core/Tensor.h>

namespace fcc {

/// Σ g² over a flat buffer, accumulated in float64 in an order that depends on the length alone
/// (not on the number of threads), so that a step is repeated bit for bit.
///
/// `flat`: [P] float32 or float64, contiguous, any device. Returns [] float64 on the same device:
/// nothing is read back. On a GPU the order is that of ATen's reduction, which is fixed as well.
at::Tensor squared_norm(const at::Tensor& flat);

/// The factor that brings a gradient of norm `norm` to at most `clip` (0: no limit).
double clip_factor(double norm, double clip);

} // namespace fcc
