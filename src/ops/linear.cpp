#include "ops/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>

#include "ops/kernels.h"

namespace fcc {

void linear_forward(
    const at::Tensor& a,
    const at::Tensor& w,
    const at::Tensor& residual,
    at::Tensor out) {
  if (kernel_ops::supports_product({a, w, residual, out}) &&
      kernel_ops::product({a}, {w, /*transposed=*/true}, residual, out)) {
    return;
  }
  const at::Tensor w_t = w.transpose(1, 2); // [C, K, O]
  if (residual.defined()) {
    at::baddbmm_out(out, residual, a, w_t);
  } else {
    at::bmm_out(out, a, w_t);
  }
}

void linear_backward_input(const at::Tensor& grad_out, const at::Tensor& w, const GradTarget& a) {
  at::Tensor grad_a = a.grad;
  const bool adds = a.mode == GradInput::kAccumulate;
  if (kernel_ops::supports_product({grad_out, w, grad_a}) &&
      kernel_ops::product({grad_out}, {w}, adds ? grad_a : at::Tensor(), grad_a)) {
    return;
  }
  if (adds) {
    grad_a.baddbmm_(grad_out, w);
  } else {
    at::bmm_out(grad_a, grad_out, w);
  }
}

void linear_backward_weight(const at::Tensor& grad_out, const at::Tensor& a, const GradTarget& w) {
  at::Tensor grad_w = w.grad;
  const bool adds = w.mode == GradInput::kAccumulate;
  const at::Tensor cell = grad_w.unsqueeze(0);
  const at::Tensor grad_out_cell = grad_out.unsqueeze(0), a_cell = a.unsqueeze(0);
  if (kernel_ops::supports_product({grad_out_cell, a_cell, cell}) &&
      kernel_ops::product(
          {grad_out_cell, /*transposed=*/true}, {a_cell}, adds ? cell : at::Tensor(), cell)) {
    return;
  }
  const auto dtype = grad_w.scalar_type();
  const int beta = adds ? 1 : 0;
  if (grad_out.is_cuda() && grad_out.scalar_type() != dtype) {
    at::addmm_out(grad_w, grad_w, grad_out.t(), a, dtype, beta);
  } else {
    grad_w.addmm_(grad_out.to(dtype).t(), a.to(dtype), beta);
  }
}

} // namespace fcc
