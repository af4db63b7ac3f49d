#include "elementwise/elementwise.h"
#include "elementwise/vec8.cuh"

namespace fcc::kernels {
namespace {

constexpr int kThreads = 512;

/// A running maximum and the sum of exponentials under it.
struct Softmax {
  float max, sum;
};

__device__ __forceinline__ Softmax combine(const Softmax& a, const Softmax& b) {
  const float max = fmaxf(a.max, b.max);
  // A lane that saw nothing has max -inf and sum 0: exp(-inf - finite) is 0 as it should be.
  return {max, a.sum * __expf(a.max - max) + b.sum * __expf(b.max - max)};
}

/// The whole row's softmax in every thread, combined in a fixed order.
__device__ Softmax block_combine(Softmax mine) {
  __shared__ Softmax of_warp[kThreads / 32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    const Softmax other{
        __shfl_xor_sync(0xffffffffU, mine.max, offset),
        __shfl_xor_sync(0xffffffffU, mine.sum, offset)};
    mine = combine(mine, other);
  }
  if (threadIdx.x % 32 == 0) {
    of_warp[threadIdx.x / 32] = mine;
  }
  __syncthreads();
  Softmax all = of_warp[0];
  for (int warp = 1; warp < kThreads / 32; ++warp) {
    all = combine(all, of_warp[warp]);
  }
  return all;
}

/// One block a row: the logits are read twice (the second time mostly from L2) and written once.
__global__ void __launch_bounds__(kThreads) cross_entropy_kernel(const CrossEntropyParams p) {
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
  // exp(-1e30 - x) is 0 and, unlike -inf, -1e30 minus itself is 0: idle lanes stay finite.
  Softmax mine{-1e30F, 0.0F};
  for (int i = threadIdx.x; i < vectors; i += kThreads) {
    const Float8 wide = widen(load8(logits + 8 * i));
    float max = mine.max;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      max = fmaxf(max, wide.value[e]);
    }
    float sum = mine.sum * __expf(mine.max - max);
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      sum += __expf(wide.value[e] - max);
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
    Float8 wide = widen(load8(logits + 8 * i));
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
  cross_entropy_kernel<<<params.num_rows, kThreads, 0, params.stream>>>(params);
  return cudaGetLastError();
}

} // namespace fcc::kernels
