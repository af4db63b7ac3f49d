#include <cuda_bf16.h>

#include "elementwise/elementwise.h"

namespace fcc::kernels {
namespace {

struct alignas(8) Bf16x4 {
  __nv_bfloat162 low, high;
};

__device__ __forceinline__ float
update(const AdamwParams& p, float master, float grad, float& exp_avg, float& exp_avg_sq) {
  grad *= p.grad_scale;
  exp_avg = p.beta1 * exp_avg + (1.0F - p.beta1) * grad;
  exp_avg_sq = p.beta2 * exp_avg_sq + (1.0F - p.beta2) * grad * grad;
  const float denominator = sqrtf(exp_avg_sq / p.bias_correction2) + p.eps;
  return master * (1.0F - p.lr * p.weight_decay) -
         p.lr * (exp_avg / p.bias_correction1) / denominator;
}

/// A thread updates four neighbours.
__global__ void adamw_kernel(const AdamwParams p) {
  const std::int64_t i = 4 * (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x);
  if (i >= p.count) {
    return;
  }
  float4 master = *reinterpret_cast<const float4*>(p.master + i);
  const float4 grad = *reinterpret_cast<const float4*>(p.grad + i);
  float4 exp_avg = *reinterpret_cast<const float4*>(p.exp_avg + i);
  float4 exp_avg_sq = *reinterpret_cast<const float4*>(p.exp_avg_sq + i);
  master.x = update(p, master.x, grad.x, exp_avg.x, exp_avg_sq.x);
  master.y = update(p, master.y, grad.y, exp_avg.y, exp_avg_sq.y);
  master.z = update(p, master.z, grad.z, exp_avg.z, exp_avg_sq.z);
  master.w = update(p, master.w, grad.w, exp_avg.w, exp_avg_sq.w);
  *reinterpret_cast<float4*>(p.master + i) = master;
  *reinterpret_cast<float4*>(p.exp_avg + i) = exp_avg;
  *reinterpret_cast<float4*>(p.exp_avg_sq + i) = exp_avg_sq;
  if (p.compute != nullptr) {
    *reinterpret_cast<Bf16x4*>(static_cast<__nv_bfloat16*>(p.compute) + i) = {
        __floats2bfloat162_rn(master.x, master.y), __floats2bfloat162_rn(master.z, master.w)};
  }
}

} // namespace

cudaError_t adamw(const AdamwParams& params) {
  if (params.count % 4 != 0) {
    return cudaErrorInvalidValue;
  }
  if (params.count == 0) {
    return cudaSuccess;
  }
  const std::int64_t threads = params.count / 4;
  adamw_kernel<<<static_cast<unsigned>((threads + 255) / 256), 256, 0, params.stream>>>(params);
  return cudaGetLastError();
}

} // namespace fcc::kernels
