#include <cuda_bf16.h>

#include <cstdint>

#include "memory_attention/backward_params.h"

// One value per query row that the gradient kernels need besides q, k, v and dO:
// delta_i = sum_e dO_ie O_ie, and the log-sum-exp in base 2. This pass is bound by reading O and dO.

namespace fcc::kernels::backward {
namespace {

constexpr int kThreads = 256;
constexpr int kRowsPerThread = 4;   // rows of one head: four independent loads of each tensor
constexpr int kElementsPerLoad = 8;  // 16 bytes
constexpr float kLog2E = 1.4426950408889634F;

__device__ float dot(const uint4& a, const uint4& b) {
  const uint32_t x[4] = {a.x, a.y, a.z, a.w};
  const uint32_t y[4] = {b.x, b.y, b.z, b.w};
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    // A bf16 is the upper half of the float of the same value.
    sum += __uint_as_float(x[i] << 16U) * __uint_as_float(y[i] << 16U);
    sum += __uint_as_float(x[i] & 0xFFFF0000U) * __uint_as_float(y[i] & 0xFFFF0000U);
  }
  return sum;
}

// Thread layout, fastest first: 16-byte chunk of E, head, group of 4 rows, (cell, batch row).
template <int kHeadDim>
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(const MemoryAttentionBackwardParams params,
                      float* lse_log2,
                      float* delta,
                      int rows,
                      int blocks_per_problem) {
  constexpr int kLanes = kHeadDim / kElementsPerLoad;  // threads that share a row of one head
  const MemoryAttentionShape& shape = params.shape;
  const int problem = static_cast<int>(blockIdx.x) / blocks_per_problem;
  const int block = static_cast<int>(blockIdx.x) - problem * blocks_per_problem;
  const int unit = (block * kThreads + static_cast<int>(threadIdx.x)) / kLanes;
  const int chunk = static_cast<int>(threadIdx.x) % kLanes;
  const int head = unit % shape.num_heads;
  const int row0 = unit / shape.num_heads * kRowsPerThread;
  const int cell = problem / shape.batch;
  const int batch = problem % shape.batch;

  const auto offset = [&](const AttentionStrides& strides) {
    return cell * strides.cell + batch * strides.batch + head * strides.head;
  };
  const auto* out = static_cast<const __nv_bfloat16*>(params.out.data) +
      offset(params.out.strides) + chunk * kElementsPerLoad;
  const auto* grad_out = static_cast<const __nv_bfloat16*>(params.grad_out.data) +
      offset(params.grad_out.strides) + chunk * kElementsPerLoad;

  uint4 o[kRowsPerThread];
  uint4 g[kRowsPerThread];
#pragma unroll
  for (int i = 0; i < kRowsPerThread; ++i) {
    o[i] = make_uint4(0, 0, 0, 0);
    g[i] = make_uint4(0, 0, 0, 0);
    if (row0 + i < shape.num_queries) {
      o[i] = *reinterpret_cast<const uint4*>(out + (row0 + i) * params.out.strides.row);
      g[i] = *reinterpret_cast<const uint4*>(grad_out + (row0 + i) * params.grad_out.strides.row);
    }
  }
  float sums[kRowsPerThread];
#pragma unroll
  for (int i = 0; i < kRowsPerThread; ++i) {
    sums[i] = dot(o[i], g[i]);
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      sums[i] += __shfl_xor_sync(0xFFFFFFFFU, sums[i], distance);
    }
  }
  if (row0 >= rows || chunk >= kRowsPerThread) {
    return;
  }
  const int row = row0 + chunk;
  float sum = sums[0];
#pragma unroll
  for (int i = 1; i < kRowsPerThread; ++i) {
    sum = chunk == i ? sums[i] : sum;
  }
  const bool inside = row < shape.num_queries;
  const int64_t index =
      (static_cast<int64_t>(problem) * shape.num_heads + head) * rows + row;
  delta[index] = inside ? sum : 0.0F;
  // A padded query gets the weight 2^(s - inf) = 0 everywhere.
  lse_log2[index] =
      inside ? params.lse[offset(params.lse_strides) + row] * kLog2E : __int_as_float(0x7F800000);
}

}  // namespace

cudaError_t launch_statistics(const MemoryAttentionBackwardParams& params) {
  const MemoryAttentionShape& shape = params.shape;
  const int rows = statistics_rows(shape.num_queries);
  const int64_t problems = static_cast<int64_t>(shape.num_cells) * shape.batch;
  const int64_t threads = static_cast<int64_t>(rows) / kRowsPerThread * shape.num_heads *
      (shape.head_dim / kElementsPerLoad);
  const int blocks = static_cast<int>((threads + kThreads - 1) / kThreads);
  const auto grid = static_cast<unsigned int>(problems * blocks);
  auto* lse_log2 = static_cast<float*>(params.workspace);
  float* delta = lse_log2 + problems * shape.num_heads * rows;
  if (shape.head_dim == 64) {
    statistics_kernel<64><<<grid, kThreads, 0, params.stream>>>(params, lse_log2, delta, rows, blocks);
  } else {
    statistics_kernel<128><<<grid, kThreads, 0, params.stream>>>(params, lse_log2, delta, rows, blocks);
  }
  return cudaGetLastError();
}

}  // namespace fcc::kernels::backward
