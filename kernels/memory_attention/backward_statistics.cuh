#pragma once

#include <cuda_bf16.h>

#include "common/hopper.cuh"
#include "memory_attention/backward_items.cuh"

namespace fcc::kernels::backward {

/// lse (base 2) and delta of the two rows of a block that a thread's fragments belong to.
struct RowStatistics {
  float lse_log2[2];
  float delta[2];
};

/// Where the statistics of a head's query `row` come among all in the workspace.
__device__ __forceinline__ int64_t
statistics_row(const KernelParams& params, int cell, int batch, int head, int row) {
  const MemoryAttentionShape& shape = params.shape;
  const int64_t heads_before =
      (static_cast<int64_t>(cell) * shape.batch + batch) * shape.num_heads + head;
  return heads_before * params.statistics_rows + row;
}

__device__ __forceinline__ float dot_bf16(const uint4& a, const uint4& b) {
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

/// lse of a thread's two rows of a block, in base 2. Asked for early, as it comes from far.
__device__ __forceinline__ void
load_lse(const KernelParams& params, int cell, int batch, int head, int row, float (&lse_log2)[2]) {
  constexpr float kLog2E = 1.4426950408889634F;
  const float* lse = params.lse + cell * params.lse_strides.cell +
                     batch * params.lse_strides.batch + head * params.lse_strides.head;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    // A padded query gets the weight 2^(s - inf) = 0 everywhere.
    lse_log2[half] = row + 8 * half < params.shape.num_queries ? lse[row + 8 * half] * kLog2E
                                                               : __int_as_float(0x7F800000);
  }
}

/// Completes the statistics of a block of queries, from its swizzled panels of O and dO in shared
/// memory, and writes them to the workspace. A quad of lanes shares a row: 16-byte chunks
/// quad_lane, quad_lane + 4, ...
template <int kHeadDim>
__device__ __forceinline__ void make_statistics(
    const KernelParams& params,
    const uint8_t* out,
    const uint8_t* grad_out,
    int cell,
    int batch,
    int head,
    int row0,
    int row_in_block,
    int quad_lane,
    RowStatistics& statistics) {
  constexpr uint32_t kChunksInPanel = 8;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = row_in_block + 8 * half;
    float sum = 0.0F;
#pragma unroll
    for (int i = 0; i < kHeadDim / 32; ++i) {
      const auto chunk = static_cast<uint32_t>(quad_lane + 4 * i);
      const uint32_t offset = chunk / kChunksInPanel * (kBlockRows * 128U) +
                              swizzle128_offset(static_cast<uint32_t>(row), chunk % kChunksInPanel);
      sum += dot_bf16(
          *reinterpret_cast<const uint4*>(out + offset),
          *reinterpret_cast<const uint4*>(grad_out + offset));
    }
    sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 1);
    sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 2);
    statistics.delta[half] = sum;
    if (quad_lane == half) {
      const int64_t pair = statistics_row(params, cell, batch, head, row0 + row / 2 * 2);
      float* const statistic = params.statistics + 2 * pair + row % 2;
      statistic[0] = statistics.lse_log2[half];
      statistic[2] = sum;
    }
  }
}

} // namespace fcc::kernels::backward
