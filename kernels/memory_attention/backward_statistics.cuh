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

/// Where the statistics of a head's query `row` lie in the workspace.
__device__ __forceinline__ int64_t
statistics_index(const KernelParams& params, int cell, int batch, int head, int row) {
  const MemoryAttentionShape& shape = params.shape;
  return ((static_cast<int64_t>(cell) * shape.batch + batch) * shape.num_heads + head) *
      params.statistics_rows +
      row;
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

/// Rows of O that a thread needs, fetched while the block's dO is still on its way. Each row is
/// read by a quad of lanes, in 16-byte chunks quad_lane, quad_lane + 4, ...
template <int kHeadDim>
struct OutputRows {
  static constexpr int kChunks = kHeadDim / 32;  // of 16 bytes, per lane and row
  uint4 chunks[2][kChunks];

  __device__ __forceinline__ OutputRows(
      const KernelParams& params, int cell, int batch, int head, int row, int quad_lane) {
    const AttentionStrides& strides = params.out.strides;
    const auto* base = static_cast<const __nv_bfloat16*>(params.out.data) + cell * strides.cell +
        batch * strides.batch + head * strides.head;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int this_row = row + 8 * half;
#pragma unroll
      for (int i = 0; i < kChunks; ++i) {
        chunks[half][i] = make_uint4(0, 0, 0, 0);
        if (this_row < params.shape.num_queries) {
          chunks[half][i] = *reinterpret_cast<const uint4*>(
              base + this_row * strides.row + (quad_lane + 4 * i) * 8);
        }
      }
    }
  }

  /// rowsum(dO * O), with dO from the block's swizzled panels in shared memory.
  __device__ __forceinline__ void
  dot(const uint8_t* grad_out, int row_in_block, int quad_lane, float (&delta)[2]) const {
    constexpr uint32_t kChunksInPanel = 8;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto row = static_cast<uint32_t>(row_in_block + 8 * half);
      float sum = 0.0F;
#pragma unroll
      for (int i = 0; i < kChunks; ++i) {
        const auto chunk = static_cast<uint32_t>(quad_lane + 4 * i);
        const uint32_t offset = chunk / kChunksInPanel * (kBlockRows * 128U) +
            swizzle128_offset(row, chunk % kChunksInPanel);
        sum += dot_bf16(chunks[half][i], *reinterpret_cast<const uint4*>(grad_out + offset));
      }
      sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 1);
      sum += __shfl_xor_sync(0xFFFFFFFFU, sum, 2);
      delta[half] = sum;
    }
  }
};

/// Completes the statistics of a block of queries and writes them to the workspace.
template <int kHeadDim>
__device__ __forceinline__ RowStatistics make_statistics(const KernelParams& params,
                                                         const OutputRows<kHeadDim>& output,
                                                         const uint8_t* grad_out,
                                                         int cell,
                                                         int batch,
                                                         int head,
                                                         int row0,
                                                         int row_in_block,
                                                         int quad_lane) {
  constexpr float kLog2E = 1.4426950408889634F;
  RowStatistics statistics;
  output.dot(grad_out, row_in_block, quad_lane, statistics.delta);
  const float* lse = params.lse + cell * params.lse_strides.cell +
      batch * params.lse_strides.batch + head * params.lse_strides.head;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = row0 + row_in_block + 8 * half;
    // A padded query gets the weight 2^(s - inf) = 0 everywhere.
    statistics.lse_log2[half] =
        row < params.shape.num_queries ? lse[row] * kLog2E : __int_as_float(0x7F800000);
    if (quad_lane == half) {
      const int64_t index = statistics_index(params, cell, batch, head, row);
      params.lse_log2[index] = statistics.lse_log2[half];
      params.delta[index] = statistics.delta[half];
    }
  }
  return statistics;
}

}  // namespace fcc::kernels::backward
