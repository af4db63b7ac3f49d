#pragma once

#include <functional>
#include <initializer_list>

#include <ATen/core/Tensor.h>

#include "fcc/ops/cell_attention.h"
#include "fcc/ops/cell_ops.h"

// Where torch meets the project's own kernels. With the GPU code built, src/ops/cuda implements
// this; without it, src/ops/no_cuda does, and answers that nothing is served.
namespace fcc::kernel_ops {

/// Whether the library was built with its GPU code.
bool has_gpu_code();

/// 10 · major + minor of a GPU; 0 for other devices and in a build without GPU code.
int compute_capability(at::Device device);

/// True for bfloat16 tensors on a GPU of compute capability 9.0 or later in its family.
bool serves(const at::Tensor& tensor);

/// Widths that the row kernels serve: multiples of 8 up to 4096.
bool serves_width(std::int64_t width);

/// Flat float32 buffers that start at a multiple of 16 bytes.
bool serves_squared_sum(const at::Tensor& flat);

/// Attention: head width 64 or 128.
bool serves_attention(const at::Tensor& q);

/// One factor of a product, [C, rows, columns] bfloat16, or its transpose.
struct ProductFactor {
  at::Tensor matrix;
  bool transposed = false;
};

/// Whether `product` takes these ([C, rows, columns]; undefined ones are left out): columns are
/// neighbours, and addresses, strides and widths are multiples of 16 bytes.
bool serves_product(std::initializer_list<std::reference_wrapper<const at::Tensor>> tensors);

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

void attention_forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse);
void attention_backward(
    const CellAttentionInput& input,
    const at::Tensor& out,
    const at::Tensor& lse,
    const at::Tensor& grad_out,
    CellAttentionGrads grads);

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
