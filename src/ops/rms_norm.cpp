#include "fcc/ops/rms_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "ops/kernels.h"
#include "ops/precision.h"

namespace fcc {
namespace {

/// 1 / sqrt(mean(x²) + eps) over the last dimension, which is kept with size 1.
at::Tensor inverse_root(const at::Tensor& wide, double eps) {
  return wide.square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
}

/// The one place that says where RMSNorm rounds: nowhere before the weight.
at::Tensor scaled(const at::Tensor& wide, const at::Tensor& inverse_rms, const at::Tensor& weight) {
  return wide.mul(inverse_rms).mul_(weight.to(wide.scalar_type()));
}

} // namespace

RmsNormOutput rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::NoGradGuard no_grad;
  const at::Tensor wide = widen(x);
  const at::Tensor inverse_rms = inverse_root(wide, eps); // [..., 1]
  return {scaled(wide, inverse_rms, weight).to(x.scalar_type()), inverse_rms};
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

void rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor out) {
  if (kernel_ops::supports_rms_norm(x)) {
    kernel_ops::rms_norm_forward(x, weight, eps, out);
    return;
  }
  const at::Tensor wide = widen(x);
  out.copy_(scaled(wide, inverse_root(wide, eps), weight.unsqueeze(1)));
}

void rms_norm_forward_with_memory(
    const at::Tensor& memory,
    const at::Tensor& memory_weight,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    at::Tensor out) {
  if (kernel_ops::supports_rms_norm(x)) {
    kernel_ops::rms_norm_forward_with_memory(memory, memory_weight, x, weight, eps, out);
    return;
  }
  const std::int64_t num_memory = memory.size(1);
  rms_norm_forward(memory, memory_weight, eps, out.slice(1, 0, num_memory));
  rms_norm_forward(x, weight, eps, out.slice(1, num_memory));
}

void rms_norm_backward(
    const at::Tensor& grad_out,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    const at::Tensor& residual,
    const GradTarget& grad_x,
    at::Tensor grad_weight) {
  if (kernel_ops::supports_rms_norm(x)) {
    kernel_ops::rms_norm_backward(grad_out, x, weight, eps, residual, grad_x, grad_weight);
    return;
  }
  const auto dtype = accumulate_type(x.scalar_type());
  const at::Tensor wide = x.to(dtype);
  const at::Tensor root = inverse_root(wide, eps); // [C, R, 1]
  const at::Tensor normed = wide * root;           // x̂ [C, R, D]
  const at::Tensor grad_wide = grad_out.to(dtype);
  if (grad_weight.defined()) {
    grad_weight.add_((grad_wide * normed).sum(1));
  }
  const at::Tensor grad_normed = grad_wide * weight.to(dtype).unsqueeze(1);
  at::Tensor grad = root * (grad_normed - normed * (grad_normed * normed).mean(-1, true));
  if (residual.defined()) {
    grad = grad + residual.to(dtype);
  }
  if (grad_x.mode == GradInput::kAccumulate) {
    grad = grad + grad_x.grad.to(dtype);
  }
  grad_x.grad.copy_(grad);
}

} // namespace fcc
