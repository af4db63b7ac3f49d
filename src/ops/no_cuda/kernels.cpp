// The build without GPU code: nothing is supported, so no caller gets past these answers.
#include "ops/kernels.h"

#include "fcc/core/error.h"

namespace fcc::kernel_ops {
namespace {

[[noreturn]] void absent(const char* op) {
  throw Error(op, "this build has no GPU code", {}, "configure with FCC_CUDA=ON");
}

} // namespace

bool has_gpu_code() {
  return false;
}

int compute_capability(at::Device) {
  return 0;
}

bool supports(const at::Tensor&) {
  return false;
}

bool supports_rms_norm(const at::Tensor&) {
  return false;
}

bool supports_rope(const at::Tensor&, const at::Tensor&) {
  return false;
}

bool supports_swiglu(const at::Tensor&) {
  return false;
}

bool supports_cross_entropy(const at::Tensor&) {
  return false;
}

bool supports_squared_sum(const at::Tensor&) {
  return false;
}

bool supports_product(std::initializer_list<std::reference_wrapper<const at::Tensor>>) {
  return false;
}

bool product(const ProductFactor&, const ProductFactor&, const at::Tensor&, at::Tensor) {
  absent("product");
}

void rms_norm_forward(const at::Tensor&, const at::Tensor&, double, at::Tensor) {
  absent("rms_norm_forward");
}

void rms_norm_forward_with_memory(
    const at::Tensor&,
    const at::Tensor&,
    const at::Tensor&,
    const at::Tensor&,
    double,
    at::Tensor) {
  absent("rms_norm_forward_with_memory");
}

void rms_norm_backward(
    const at::Tensor&,
    const at::Tensor&,
    const at::Tensor&,
    double,
    const at::Tensor&,
    const GradTarget&,
    at::Tensor) {
  absent("rms_norm_backward");
}

void swiglu_forward(const at::Tensor&, at::Tensor) {
  absent("swiglu_forward");
}

void swiglu_backward(at::Tensor, at::Tensor) {
  absent("swiglu_backward");
}

void rope_in_place(at::Tensor, std::int64_t, const at::Tensor&, const at::Tensor&, bool) {
  absent("rope_in_place");
}

void cross_entropy(at::Tensor, const at::Tensor&, const at::Tensor&, at::Tensor, bool) {
  absent("cross_entropy");
}

void attention_forward(const CellAttentionInput&, at::Tensor, at::Tensor) {
  absent("attention_forward");
}

void attention_backward(
    const CellAttentionInput&,
    const at::Tensor&,
    const at::Tensor&,
    const at::Tensor&,
    const CellAttentionGrads&) {
  absent("attention_backward");
}

at::Tensor squared_sum(const at::Tensor&) {
  absent("squared_sum");
}

void adamw(const AdamwStep&, at::Tensor, const at::Tensor&, at::Tensor, at::Tensor, at::Tensor) {
  absent("adamw");
}

} // namespace fcc::kernel_ops
