#include "fcc/ops/swiglu.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

#include "ops/kernels.h"
#include "ops/precision.h"

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

void swiglu_forward(const at::Tensor& gate_up, at::Tensor out) {
  if (kernel_ops::supports_swiglu(out)) {
    kernel_ops::swiglu_forward(gate_up, out);
    return;
  }
  const auto dtype = accumulate_type(gate_up.scalar_type());
  const auto halves = gate_up.chunk(2, -1); // 2 × [C, R, F]
  out.copy_(at::silu(halves[0].to(dtype)) * halves[1].to(dtype));
}

void swiglu_backward_in_place(at::Tensor hidden, at::Tensor gate_up) {
  if (kernel_ops::supports_swiglu(hidden)) {
    kernel_ops::swiglu_backward(hidden, gate_up);
    return;
  }
  const auto dtype = accumulate_type(gate_up.scalar_type());
  const auto halves = gate_up.chunk(2, -1);
  const at::Tensor gate = halves[0].to(dtype), up = halves[1].to(dtype);
  const at::Tensor grad = hidden.to(dtype);
  const at::Tensor sigmoid = at::sigmoid(gate);
  const at::Tensor silu = at::silu(gate);
  const at::Tensor grad_gate = grad * up * (sigmoid + silu * (1 - sigmoid));
  const at::Tensor output = silu * up;
  halves[1].copy_(grad * silu);
  halves[0].copy_(grad_gate);
  hidden.copy_(output);
}

} // namespace fcc
