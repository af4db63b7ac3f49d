// Torch to the memory-attention kernel: check, fill the struct, launch on the current stream.
#include <cmath>

#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "fcc/core/error.h"
#include "memory_attention/memory_attention.h"
#include "ops/kernels.h"

namespace fcc::kernel_ops {
namespace {

void check_launch(const char* op, const kernels::KernelStatus& status) {
  if (!status.ok()) {
    throw Error(
        op,
        "the launch failed",
        status.message != nullptr ? status.message : cudaGetErrorString(status.error));
  }
}

kernels::AttentionStrides strides_of(const at::Tensor& x) { // [C, B, rows, heads, E]
  return {x.stride(0), x.stride(1), x.stride(2), x.stride(3)};
}

kernels::AttentionInput input_of(const at::Tensor& x) {
  return x.defined() ? kernels::AttentionInput{x.data_ptr(), strides_of(x)}
                     : kernels::AttentionInput{};
}

kernels::AttentionOutput output_of(const at::Tensor& x) {
  return x.defined() ? kernels::AttentionOutput{x.data_ptr(), strides_of(x)}
                     : kernels::AttentionOutput{};
}

kernels::AttentionStrides lse_strides(const at::Tensor& lse) { // [C, B, H, L]
  return {lse.stride(0), lse.stride(1), /*row=*/1, lse.stride(2)};
}

kernels::MemoryAttentionShape shape_of(const CellAttentionInput& input) {
  kernels::MemoryAttentionShape shape;
  shape.num_cells = static_cast<int>(input.q.size(0));
  shape.batch = static_cast<int>(input.q.size(1));
  shape.num_queries = static_cast<int>(input.q.size(2));
  shape.num_memory = input.k_mem.defined() ? static_cast<int>(input.k_mem.size(2)) : 0;
  shape.num_heads = static_cast<int>(input.q.size(3));
  shape.num_kv_heads = static_cast<int>(input.k.size(3));
  shape.head_dim = static_cast<int>(input.q.size(4));
  return shape;
}

const std::uint8_t* flags_of(const at::Tensor& has_memory) {
  return has_memory.defined() ? reinterpret_cast<const std::uint8_t*>(has_memory.data_ptr<bool>())
                              : nullptr;
}

float softmax_scale(const CellAttentionInput& input) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(input.q.size(4))));
}

} // namespace

void attention_forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse) {
  const at::DeviceGuard guard(input.q.device());
  kernels::MemoryAttentionForwardParams params;
  params.shape = shape_of(input);
  params.q = input_of(input.q);
  params.k_mem = input_of(input.k_mem);
  params.v_mem = input_of(input.v_mem);
  params.k_cur = input_of(input.k);
  params.v_cur = input_of(input.v);
  params.out = output_of(out);
  params.lse = lse.data_ptr<float>();
  params.lse_strides = lse_strides(lse);
  params.has_memory = flags_of(input.has_memory);
  params.scale = softmax_scale(input);
  params.stream = c10::cuda::getCurrentCUDAStream().stream();
  check_launch("cell_attention_forward", kernels::memory_attention_forward(params));
}

void attention_backward(
    const CellAttentionInput& input,
    const at::Tensor& out,
    const at::Tensor& lse,
    const at::Tensor& grad_out,
    const CellAttentionGrads& grads) {
  const at::DeviceGuard guard(input.q.device());
  kernels::MemoryAttentionBackwardParams params;
  params.shape = shape_of(input);
  params.q = input_of(input.q);
  params.k_mem = input_of(input.k_mem);
  params.v_mem = input_of(input.v_mem);
  params.k_cur = input_of(input.k);
  params.v_cur = input_of(input.v);
  params.out = input_of(out);
  params.grad_out = input_of(grad_out);
  params.lse = lse.data_ptr<float>();
  params.lse_strides = lse_strides(lse);
  params.dq = output_of(grads.q);
  params.dk_mem = output_of(grads.k_mem);
  params.dv_mem = output_of(grads.v_mem);
  params.dk_cur = output_of(grads.k);
  params.dv_cur = output_of(grads.v);
  params.has_memory = flags_of(input.has_memory);
  params.scale = softmax_scale(input);
  params.stream = c10::cuda::getCurrentCUDAStream().stream();
  const auto bytes =
      static_cast<std::int64_t>(kernels::memory_attention_backward_workspace_bytes(params.shape));
  const at::Tensor workspace = at::empty({bytes}, out.options().dtype(at::kByte));
  params.workspace = workspace.data_ptr();
  check_launch("cell_attention_backward", kernels::memory_attention_backward(params));
}

} // namespace fcc::kernel_ops
