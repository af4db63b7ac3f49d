#include <algorithm>

#include "elementwise/elementwise.h"
#include "elementwise/vec8.cuh"

namespace fcc::kernels {
namespace {

constexpr int kThreads = 1024;
constexpr int kAtOnce = 4; // loads in flight
/// Shared memory for what stays of a row between the two sweeps: most of an H100's, and less where
/// the GPU has less.
constexpr int kMostHeldBytes = 200 * 1024;
constexpr int kReservedBytes = 2 * 1024; // the kernel's own shared variables, and the driver's

/// A running maximum and the sum of exponentials under it.
struct Softmax {
  float max, sum;
};

__device__ __forceinline__ Softmax combine(const Softmax& a, const Softmax& b) {
  const float max = fmaxf(a.max, b.max);
  // A lane that saw nothing has max -inf and sum 0: exp(-inf - finite) is 0 as it should be.
  return {max, a.sum * __expf(a.max - max) + b.sum * __expf(b.max - max)};
}

/// The same in every lane of a warp.
__device__ __forceinline__ Softmax warp_combine(Softmax mine) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    const Softmax other{
        __shfl_xor_sync(0xffffffffU, mine.max, offset),
        __shfl_xor_sync(0xffffffffU, mine.sum, offset)};
    mine = combine(mine, other);
  }
  return mine;
}

/// The whole row's softmax in every thread, combined in a fixed order.
__device__ Softmax block_combine(Softmax mine) {
  static_assert(kThreads == 32 * 32); // a warp's lanes can hold all warps' results
  __shared__ Softmax of_warp[32];
  mine = warp_combine(mine);
  if (threadIdx.x % 32 == 0) {
    of_warp[threadIdx.x / 32] = mine;
  }
  __syncthreads();
  return warp_combine(of_warp[threadIdx.x % 32]);
}

/// One block a row: the logits are read once and written once, but for the end of a row that shared
/// memory cannot hold (a fifth at a vocabulary of 128,256), which the second sweep finds in L2.
__global__ void __launch_bounds__(kThreads)
    cross_entropy_kernel(const CrossEntropyParams p, int num_held) {
  extern __shared__ Vec8 held[]; // each thread reads back what it wrote itself
  const std::int64_t row = blockIdx.x;
  auto* logits = static_cast<__nv_bfloat16*>(p.logits) + row * p.vocab_size;
  const std::int64_t target = p.targets[row];
  const int vectors = p.vocab_size / 8;
  if (target < 0) {
    if (threadIdx.x == 0) {
      p.losses[row] = 0.0F;
    }
    for (int i = threadIdx.x; p.write_gradient && i < vectors; i += kThreads) {
      store8(logits + 8 * i, narrow(Float8{}));
    }
    return;
  }
  const float inf = __int_as_float(0x7f800000);
  const Vec8 nothing = narrow({{-inf, -inf, -inf, -inf, -inf, -inf, -inf, -inf}});
  Softmax mine{-1e30F, 0.0F}; // unlike -inf, minus itself it is 0: idle lanes stay finite
  for (int first = threadIdx.x; first < vectors; first += kAtOnce * kThreads) {
    Vec8 loaded[kAtOnce];
    float max = mine.max;
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int i = first + k * kThreads;
      loaded[k] = i < vectors ? load8(logits + 8 * i) : nothing;
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int i = first + k * kThreads;
      if (i < num_held) {
        held[i] = loaded[k];
      }
      const Float8 wide = widen(loaded[k]);
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        max = fmaxf(max, wide.value[e]);
      }
    }
    float sum = mine.sum * __expf(mine.max - max);
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const Float8 wide = widen(loaded[k]);
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        sum += __expf(wide.value[e] - max);
      }
    }
    mine = {max, sum};
  }
  const float at_target = __bfloat162float(logits[target]);
  const Softmax all = block_combine(mine); // also: everybody has read the target's logit
  if (threadIdx.x == 0) {
    p.losses[row] = all.max + logf(all.sum) - at_target;
  }
  if (!p.write_gradient) {
    return;
  }
  const float coefficient = p.coefficients[row], scale = coefficient / all.sum;
  for (int i = threadIdx.x; i < vectors; i += kThreads) {
    Float8 wide = widen(i < num_held ? held[i] : load8(logits + 8 * i));
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      wide.value[e] = scale * __expf(wide.value[e] - all.max);
      if (8 * i + e == target) {
        wide.value[e] -= coefficient;
      }
    }
    store8(logits + 8 * i, narrow(wide));
  }
}

} // namespace

cudaError_t cross_entropy(const CrossEntropyParams& params) {
  if (params.vocab_size <= 0 || params.vocab_size % 8 != 0) {
    return cudaErrorInvalidValue;
  }
  if (params.num_rows == 0) {
    return cudaSuccess;
  }
  int device = 0, most_bytes = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&most_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  }
  if (error != cudaSuccess) {
    return error;
  }
  most_bytes = std::min(most_bytes - kReservedBytes, kMostHeldBytes);
  const int num_held =
      params.write_gradient
          ? std::min(params.vocab_size / 8, most_bytes / static_cast<int>(sizeof(Vec8)))
          : 0;
  const int bytes = num_held * static_cast<int>(sizeof(Vec8));
  error = cudaFuncSetAttribute(
      cross_entropy_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error != cudaSuccess) {
    return error;
  }
  cross_entropy_kernel<<<params.num_rows, kThreads, bytes, params.stream>>>(params, num_held);
  return cudaGetLastError();
}

} // namespace fcc::kernels
