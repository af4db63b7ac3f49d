#include "fcc/ops/cell_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

#include "ops/kernels.h"
#include "ops/precision.h"

namespace fcc {
namespace {

at::Tensor inverse_root(const at::Tensor& x, double eps) { // x [C, R, D] → [C, R, 1]
  return x.square().mean(-1, /*keepdim=*/true).add(eps).rsqrt();
}

} // namespace

void linear_forward(
    const at::Tensor& a,
    const at::Tensor& w,
    const at::Tensor& residual,
    at::Tensor out) {
  if (kernel_ops::serves(a) && kernel_ops::serves_product({a, w, residual, out}) &&
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
  if (kernel_ops::serves(grad_out) && kernel_ops::serves_product({grad_out, w, grad_a}) &&
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
  if (kernel_ops::serves(a) && kernel_ops::serves_product({grad_out_cell, a_cell, cell}) &&
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

void rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor out) {
  if (kernel_ops::serves(x) && kernel_ops::serves_width(x.size(2))) {
    kernel_ops::rms_norm_forward(x, weight, eps, out);
    return;
  }
  const at::Tensor wide = x.to(wide_type(x.scalar_type()));
  // Rounded before the weight is applied, as Hugging Face's Llama does.
  const at::Tensor normed = (wide * inverse_root(wide, eps)).to(x.scalar_type());
  at::mul_out(out, normed, weight.unsqueeze(1));
}

void rms_norm_forward_with_memory(
    const at::Tensor& memory,
    const at::Tensor& memory_weight,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    at::Tensor out) {
  if (kernel_ops::serves(x) && kernel_ops::serves_width(x.size(2))) {
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
  if (kernel_ops::serves(x) && kernel_ops::serves_width(x.size(2))) {
    kernel_ops::rms_norm_backward(grad_out, x, weight, eps, residual, grad_x, grad_weight);
    return;
  }
  const auto dtype = wide_type(x.scalar_type());
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

void swiglu_forward(const at::Tensor& gate_up, at::Tensor out) {
  if (kernel_ops::serves(out) && out.size(2) % 8 == 0) {
    kernel_ops::swiglu_forward(gate_up, out);
    return;
  }
  const auto dtype = wide_type(gate_up.scalar_type());
  const auto halves = gate_up.chunk(2, -1); // 2 × [C, R, F]
  out.copy_(at::silu(halves[0].to(dtype)) * halves[1].to(dtype));
}

void swiglu_backward(at::Tensor hidden, at::Tensor gate_up) {
  if (kernel_ops::serves(gate_up) && hidden.size(2) % 8 == 0) {
    kernel_ops::swiglu_backward(hidden, gate_up);
    return;
  }
  const auto dtype = wide_type(gate_up.scalar_type());
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

void rope_in_place(
    at::Tensor x,
    std::int64_t heads,
    const at::Tensor& cos,
    const at::Tensor& sin,
    bool inverse) {
  if (kernel_ops::serves(x) && cos.size(1) % 8 == 0) {
    kernel_ops::rope_in_place(x, heads, cos, sin, inverse);
    return;
  }
  const auto dtype = wide_type(x.scalar_type());
  const std::int64_t length = cos.size(0), half = cos.size(1), rows = x.size(1);
  // [C, R/L, L, heads, 2, E/2]: only views, whatever the strides of cells and rows.
  const at::Tensor pairs = x.slice(2, 0, heads * 2 * half)
                               .unflatten(2, {heads, 2, half})
                               .unflatten(1, {rows / length, length});
  at::Tensor first = pairs.select(4, 0), second = pairs.select(4, 1);
  const at::Tensor c = cos.to(dtype).unsqueeze(1); // [L, 1, E/2]
  const at::Tensor s = (inverse ? sin.neg() : sin).to(dtype).unsqueeze(1);
  const at::Tensor a = first.to(dtype), b = second.to(dtype);
  const at::Tensor turned = a * c - b * s;
  const at::Tensor turned_second = b * c + a * s;
  first.copy_(turned);
  second.copy_(turned_second);
}

} // namespace fcc
