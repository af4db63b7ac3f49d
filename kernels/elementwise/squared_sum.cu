#include "elementwise/elementwise.h"

namespace fcc::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocks = kSquaredSumPartials;

/// The block's sum in thread 0; always added in the same order.
__device__ __forceinline__ double block_sum(double value) {
  __shared__ double of_warp[kThreads / 32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_down_sync(0xffffffffU, value, offset);
  }
  if (threadIdx.x % 32 == 0) {
    of_warp[threadIdx.x / 32] = value;
  }
  __syncthreads();
  double sum = 0.0;
  for (int warp = 0; threadIdx.x == 0 && warp < kThreads / 32; ++warp) {
    sum += of_warp[warp];
  }
  return sum;
}

__global__ void __launch_bounds__(kThreads) partial_kernel(const SquaredSumParams p) {
  const auto* fours = reinterpret_cast<const float4*>(p.values);
  const std::int64_t count = p.count / 4;
  double sum = 0.0;
#pragma unroll 4
  for (std::int64_t i = blockIdx.x * kThreads + threadIdx.x; i < count; i += kBlocks * kThreads) {
    const float4 four = fours[i];
    // The square of a float is exact in a double.
    const double x = four.x, y = four.y, z = four.z, w = four.w;
    sum += (x * x + y * y) + (z * z + w * w);
  }
  const std::int64_t rest = 4 * count + threadIdx.x;
  if (blockIdx.x == 0 && rest < p.count) {
    const double x = p.values[rest];
    sum += x * x;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    p.partials[blockIdx.x] = sum;
  }
}

__global__ void __launch_bounds__(kThreads) total_kernel(const SquaredSumParams p) {
  double sum = 0.0;
  for (int i = threadIdx.x; i < kBlocks; i += kThreads) {
    sum += p.partials[i];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    *p.sum = sum;
  }
}

} // namespace

cudaError_t squared_sum(const SquaredSumParams& params) {
  if (reinterpret_cast<std::uintptr_t>(params.values) % sizeof(float4) != 0) {
    return cudaErrorInvalidValue;
  }
  partial_kernel<<<kBlocks, kThreads, 0, params.stream>>>(params);
  total_kernel<<<1, kThreads, 0, params.stream>>>(params);
  return cudaGetLastError();
}

} // namespace fcc::kernels
