#pragma once

#include <functional>
#include <initializer_list>

#include <ATen/core/Tensor.h>

#include "fcc/ops/attention.h"
#include "fcc/ops/grad_target.h"

// Where torch meets the project's own kernels. With the GPU code built, src/ops/cuda implements
// this; without it, src/ops/no_cuda does, and answers that nothing is supported.
namespace fcc::kernel_ops {

/// Whether the library was built with its GPU code.
bool has_gpu_code();

/// 10 · major + minor of a GPU; 0 for other devices and in a build without GPU code.
int compute_capability(at::Device device);

/// Element-wise kernels and products: bfloat16 tensors on a GPU of compute capability 8.0 or later.
bool supports(const at::Tensor& tensor);

/// Rows that the norm's kernels take: widths of multiples of 8 up to 4096.
bool supports_rms_norm(const at::Tensor& x);

/// Heads that the rotation's kernel takes; cos [L, E/2], E/2 a multiple of 8.
bool supports_rope(const at::Tensor& x, const at::Tensor& cos);

/// SwiGLU over [C, R, F], F a multiple of 8.
bool supports_swiglu(const at::Tensor& hidden);

/// The head's weight [V, D], V a multiple of 8.
bool supports_cross_entropy(const at::Tensor& weight);

/// Flat float32 buffers that start at a multiple of 16 bytes.
bool supports_squared_sum(const at::Tensor& flat);

/// One factor of a product, [C, rows, columns] bfloat16, or its transpose.
struct ProductFactor {
  at::Tensor matrix;
  bool transposed = false;
};

/// Whether `product` takes these ([C, rows, columns], the first in bfloat16; undefined ones are
/// left out): columns are neighbours, and addresses, strides and widths are multiples of 16 bytes.
bool supports_product(std::initializer_list<std::reference_wrapper<const at::Tensor>> tensors);

/// out[c] = x[c] · y[c] (+ addend[c]), summed in float32; out and addend, which may be one and the
/// same or undefined, are bfloat16 or float32. False, and nothing done, where cuBLASLt has no
/// algorithm for it.
bool product(
    const ProductFactor& x,
    const ProductFactor& y,
    const at::Tensor& addend,
    at::Tensor out);

void rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor out);
void rms_norm_forward_with_memory(
    const at::Tensor& memory,
    const at::Tensor& memory_weight,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    at::Tensor out);
void rms_norm_backward(
    const at::Tensor& grad_out,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    const at::Tensor& residual,
    const GradTarget& grad_x,
    at::Tensor grad_weight);
void swiglu_forward(const at::Tensor& gate_up, at::Tensor out);
void swiglu_backward(at::Tensor hidden, at::Tensor gate_up);
void rope_in_place(
    at::Tensor x,
    std::int64_t heads,
    const at::Tensor& cos,
    const at::Tensor& sin,
    bool inverse);

/// Losses [n] of bf16 logits [n, V], which become coefficient · (softmax - one-hot) if asked.
void cross_entropy(
    at::Tensor logits,
    const at::Tensor& targets,
    const at::Tensor& coefficients,
    at::Tensor losses,
    bool write_gradient);

/// The attention kernels: compute capability 9, bfloat16, E 64 or 128.
void attention_forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse);
void attention_backward(
    const CellAttentionInput& input,
    const at::Tensor& out,
    const at::Tensor& lse,
    const at::Tensor& grad_out,
    const CellAttentionGrads& grads);

/// Σ x² of a flat buffer, as a float64 scalar on its device.
at::Tensor squared_sum(const at::Tensor& flat);

struct AdamwStep {
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  double bias_correction1 = 1, bias_correction2 = 1;
  double grad_scale = 1;
};

/// One pass over a stretch of the flat buffers, [n] each; compute undefined: no bf16 copy.
void adamw(
    const AdamwStep& step,
    at::Tensor master,
    const at::Tensor& grad,
    at::Tensor exp_avg,
    at::Tensor exp_avg_sq,
    at::Tensor compute);

} // namespace fcc::kernel_ops
