#pragma once

#include <ATen/core/Tensor.h>

namespace fcc {

/// `rounded` as a function of `master`: the value of the one, the gradient of the other.
///
/// For weights that are computed with in bfloat16 and updated in float32. Each use gets a node of
/// its own, so that the gradients of several uses meet in the master's dtype, never in bfloat16.
at::Tensor share_gradient(
    const at::Tensor& master,   // any shape, float32, requires a gradient
    const at::Tensor& rounded); // same shape, the compute dtype; not copied

} // namespace fcc
