#include "fcc/ops/rms_norm.h"

#include <ATen/core/grad_mode.h>

#include "ops/precision.h"

namespace fcc {

RmsNormOutput rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::NoGradGuard no_grad;
  const at::Tensor wide = widen(x);
  const at::Tensor inverse_rms = wide.square().mean(-1, true).add_(eps).rsqrt_(); // [..., 1]
  const at::Tensor y = wide.mul(inverse_rms).mul_(weight.to(wide.scalar_type()));
  return {y.to(x.scalar_type()), inverse_rms};
}

RmsNormGradients rms_norm_backward(
    const at::Tensor& grad_y,
    const at::Tensor& x,
    const at::Tensor& weight,
    const at::Tensor& inverse_rms) {
  const at::NoGradGuard no_grad;
  const at::Tensor grad = widen(grad_y);
  const at::Tensor normed = widen(x).mul(inverse_rms); // x·r
  const at::Tensor product = grad.mul(normed);
  RmsNormGradients result;
  result.weight = product.flatten(0, -2).sum(0);
  const at::Tensor wide_weight = weight.to(grad.scalar_type());
  const at::Tensor mean = product.mul_(wide_weight).mean(-1, true); // of h·x·r
  at::Tensor grad_x = grad.mul(wide_weight);                        // h
  result.x = grad_x.addcmul_(normed, mean, -1).mul_(inverse_rms).to(x.scalar_type());
  return result;
}

} // namespace fcc
