#include "fcc/ops/swiglu.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

namespace fcc {

at::Tensor swiglu_forward(const at::Tensor& gate_up) {
  const at::NoGradGuard no_grad;
  const auto halves = gate_up.chunk(2, -1);
  return at::silu(halves[0]).mul_(halves[1]);
}

at::Tensor swiglu_backward(const at::Tensor& grad, const at::Tensor& gate_up) {
  const at::NoGradGuard no_grad;
  const auto halves = gate_up.chunk(2, -1);
  at::Tensor result = at::empty_like(gate_up);
  auto gradients = result.chunk(2, -1);
  at::silu_backward_out(gradients[0], grad.mul(halves[1]), halves[0]);
  at::mul_out(gradients[1], grad, at::silu(halves[0]));
  return result;
}

} // namespace fcc
