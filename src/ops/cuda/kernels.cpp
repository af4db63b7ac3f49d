// Torch to the element-wise kernels: check, fill the struct, launch on the current stream.
#include "ops/kernels.h"

#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "elementwise/elementwise.h"
#include "fcc/core/error.h"

namespace fcc::kernel_ops {
namespace {

void check_launch(const char* op, cudaError_t error) {
  if (error != cudaSuccess) {
    throw Error(op, "the launch failed", cudaGetErrorString(error));
  }
}

cudaStream_t stream() {
  return at::cuda::getCurrentCUDAStream().stream();
}

kernels::CellRows rows_of(const at::Tensor& x) { // [C, R, width]
  if (!x.defined()) {
    return {};
  }
  return {x.data_ptr(), x.stride(0)};
}

int to_int(std::int64_t value) {
  return static_cast<int>(value);
}

kernels::RmsNormParams
norm_of(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& out) {
  kernels::RmsNormParams params;
  params.num_cells = to_int(x.size(0));
  params.num_rows = to_int(x.size(1));
  params.width = to_int(x.size(2));
  params.x = rows_of(x);
  params.weight = weight.data_ptr();
  params.weight_cell = weight.stride(0);
  params.eps = static_cast<float>(eps);
  params.out = rows_of(out);
  params.stream = stream();
  return params;
}

} // namespace

bool has_gpu_code() {
  return true;
}

int compute_capability(at::Device device) {
  if (!device.is_cuda()) {
    return 0;
  }
  const cudaDeviceProp* device_properties = device.has_index()
                                                ? at::cuda::getDeviceProperties(device.index())
                                                : at::cuda::getCurrentDeviceProperties();
  return 10 * device_properties->major + device_properties->minor;
}

bool supports(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 && compute_capability(tensor.device()) >= 80;
}

bool supports_rms_norm(const at::Tensor& x) {
  const std::int64_t width = x.size(-1);
  return supports(x) && width % 8 == 0 && width <= 4096;
}

bool supports_rope(const at::Tensor& x, const at::Tensor& cos) {
  return supports(x) && cos.size(1) % 8 == 0;
}

bool supports_swiglu(const at::Tensor& hidden) {
  return supports(hidden) && hidden.size(-1) % 8 == 0;
}

bool supports_cross_entropy(const at::Tensor& weight) {
  return supports(weight) && weight.size(0) % 8 == 0;
}

bool supports_squared_sum(const at::Tensor& flat) {
  return flat.scalar_type() == at::kFloat && compute_capability(flat.device()) >= 80 &&
         reinterpret_cast<std::uintptr_t>(flat.const_data_ptr()) % 16 == 0;
}

void rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor out) {
  const at::DeviceGuard guard(x.device());
  check_launch("rms_norm_forward", kernels::rms_norm_forward(norm_of(x, weight, eps, out)));
}

void rms_norm_forward_with_memory(
    const at::Tensor& memory,
    const at::Tensor& memory_weight,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    at::Tensor out) {
  const at::DeviceGuard guard(x.device());
  kernels::RmsNormParams params = norm_of(x, weight, eps, out);
  params.memory = rows_of(memory);
  params.num_memory_rows = to_int(memory.size(1));
  params.memory_weight = memory_weight.data_ptr();
  params.memory_weight_cell = memory_weight.stride(0);
  check_launch("rms_norm_forward_with_memory", kernels::rms_norm_forward(params));
}

void rms_norm_backward(
    const at::Tensor& grad_out,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    const at::Tensor& residual,
    const GradTarget& grad_x,
    at::Tensor grad_weight) {
  const at::DeviceGuard guard(x.device());
  kernels::RmsNormBackwardParams params;
  params.num_cells = to_int(x.size(0));
  params.num_rows = to_int(x.size(1));
  params.width = to_int(x.size(2));
  params.grad_out = rows_of(grad_out);
  params.x = rows_of(x);
  params.weight = weight.data_ptr();
  params.weight_cell = weight.stride(0);
  params.eps = static_cast<float>(eps);
  params.residual = rows_of(residual);
  params.accumulate = grad_x.mode == GradInput::kAccumulate;
  params.grad_x = rows_of(grad_x.grad);
  params.stream = stream();
  at::Tensor partials;
  if (grad_weight.defined()) {
    partials = at::empty(
        {kernels::rms_norm_backward_workspace_bytes(
             params.num_cells, params.num_rows, params.width) /
         4},
        grad_weight.options());
    params.grad_weight = grad_weight.data_ptr<float>();
    params.grad_weight_cell = grad_weight.stride(0);
    params.partials = partials.data_ptr<float>();
  }
  check_launch("rms_norm_backward", kernels::rms_norm_backward(params));
}

void swiglu_forward(const at::Tensor& gate_up, at::Tensor out) {
  const at::DeviceGuard guard(out.device());
  const kernels::SwigluParams params{
      to_int(out.size(0)),
      to_int(out.size(1)),
      to_int(out.size(2)),
      rows_of(gate_up),
      rows_of(out),
      stream()};
  check_launch("swiglu_forward", kernels::swiglu_forward(params));
}

void swiglu_backward(at::Tensor hidden, at::Tensor gate_up) {
  const at::DeviceGuard guard(hidden.device());
  const kernels::SwigluParams params{
      to_int(hidden.size(0)),
      to_int(hidden.size(1)),
      to_int(hidden.size(2)),
      rows_of(gate_up),
      rows_of(hidden),
      stream()};
  check_launch("swiglu_backward", kernels::swiglu_backward(params));
}

void rope_in_place(
    at::Tensor x,
    std::int64_t heads,
    const at::Tensor& cos,
    const at::Tensor& sin,
    bool inverse) {
  const at::DeviceGuard guard(x.device());
  kernels::RopeParams params;
  params.num_cells = to_int(x.size(0));
  params.num_rows = to_int(x.size(1));
  params.num_heads = to_int(heads);
  params.head_dim = to_int(2 * cos.size(1));
  params.x = rows_of(x);
  params.row = x.stride(1);
  params.cos = cos.data_ptr<float>();
  params.sin = sin.data_ptr<float>();
  params.length = to_int(cos.size(0));
  params.inverse = inverse;
  params.stream = stream();
  check_launch("rope_in_place", kernels::rope(params));
}

void cross_entropy(
    at::Tensor logits,
    const at::Tensor& targets,
    const at::Tensor& coefficients,
    at::Tensor losses,
    bool write_gradient) {
  const at::DeviceGuard guard(logits.device());
  kernels::CrossEntropyParams params;
  params.num_rows = to_int(logits.size(0));
  params.vocab_size = to_int(logits.size(1));
  params.logits = logits.data_ptr();
  params.targets = targets.data_ptr<std::int64_t>();
  params.coefficients = write_gradient ? coefficients.data_ptr<float>() : nullptr;
  params.losses = losses.data_ptr<float>();
  params.write_gradient = write_gradient;
  params.stream = stream();
  check_launch("cross_entropy", kernels::cross_entropy(params));
}

at::Tensor squared_sum(const at::Tensor& flat) {
  const at::DeviceGuard guard(flat.device());
  const auto options = flat.options().dtype(at::kDouble);
  const at::Tensor partials = at::empty({kernels::kSquaredSumPartials}, options);
  const at::Tensor sum = at::empty({}, options);
  const kernels::SquaredSumParams params{
      flat.numel(),
      flat.data_ptr<float>(),
      partials.data_ptr<double>(),
      sum.data_ptr<double>(),
      stream()};
  check_launch("squared_sum", kernels::squared_sum(params));
  return sum;
}

void adamw(
    const AdamwStep& step,
    at::Tensor master,
    const at::Tensor& grad,
    at::Tensor exp_avg,
    at::Tensor exp_avg_sq,
    at::Tensor compute) {
  const at::DeviceGuard guard(master.device());
  kernels::AdamwParams params;
  params.count = master.numel();
  params.master = master.data_ptr<float>();
  params.grad = grad.data_ptr<float>();
  params.exp_avg = exp_avg.data_ptr<float>();
  params.exp_avg_sq = exp_avg_sq.data_ptr<float>();
  params.compute = compute.defined() ? compute.data_ptr() : nullptr;
  params.lr = static_cast<float>(step.lr);
  params.beta1 = static_cast<float>(step.beta1);
  params.beta2 = static_cast<float>(step.beta2);
  params.eps = static_cast<float>(step.eps);
  params.weight_decay = static_cast<float>(step.weight_decay);
  params.bias_correction1 = static_cast<float>(step.bias_correction1);
  params.bias_correction2 = static_cast<float>(step.bias_correction2);
  params.grad_scale = static_cast<float>(step.grad_scale);
  params.stream = stream();
  check_launch("adamw", kernels::adamw(params));
}

} // namespace fcc::kernel_ops
