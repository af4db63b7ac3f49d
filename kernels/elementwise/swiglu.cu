#include "elementwise/elementwise.h"
#include "elementwise/vec8.cuh"

namespace fcc::kernels {
namespace {

/// A thread takes eight columns of one row. Backward: gate and up become their gradients, and the
/// gradient of the output becomes the output.
template <bool Backward>
__global__ void swiglu_kernel(const SwigluParams p) {
  const int per_row = p.width / 8;
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t row = index / per_row;
  if (row >= p.num_rows) {
    return;
  }
  const std::int64_t column = 8 * (index - row * per_row);
  auto* gate_at = static_cast<__nv_bfloat16*>(p.gate_up.data) + blockIdx.y * p.gate_up.cell +
                  row * 2 * p.width + column;
  auto* up_at = gate_at + p.width;
  auto* hidden_at = static_cast<__nv_bfloat16*>(p.hidden.data) + blockIdx.y * p.hidden.cell +
                    row * p.width + column;
  const Float8 gate = widen(load8(gate_at)), up = widen(load8(up_at));
  Float8 hidden;
  if constexpr (Backward) {
    const Float8 grad = widen(load8(hidden_at));
    Float8 grad_gate, grad_up;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      const float denominator = 1.0F + __expf(-gate.value[e]);
      const float sigmoid = 1.0F / denominator;
      const float silu = gate.value[e] / denominator;
      grad_gate.value[e] = grad.value[e] * up.value[e] * (sigmoid + silu * (1.0F - sigmoid));
      grad_up.value[e] = grad.value[e] * silu;
      hidden.value[e] = silu * up.value[e];
    }
    store8(gate_at, narrow(grad_gate));
    store8(up_at, narrow(grad_up));
  } else {
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      hidden.value[e] = gate.value[e] / (1.0F + __expf(-gate.value[e])) * up.value[e];
    }
  }
  store8(hidden_at, narrow(hidden));
}

template <bool Backward>
cudaError_t launch(const SwigluParams& params) {
  if (params.width % 8 != 0) {
    return cudaErrorInvalidValue;
  }
  const std::int64_t threads = static_cast<std::int64_t>(params.num_rows) * (params.width / 8);
  if (threads == 0) {
    return cudaSuccess;
  }
  const dim3 grid(static_cast<unsigned>((threads + 255) / 256), params.num_cells);
  swiglu_kernel<Backward><<<grid, 256, 0, params.stream>>>(params);
  return cudaGetLastError();
}

} // namespace

cudaError_t swiglu_forward(const SwigluParams& params) {
  return launch<false>(params);
}

cudaError_t swiglu_backward(const SwigluParams& params) {
  return launch<true>(params);
}

} // namespace fcc::kernels
