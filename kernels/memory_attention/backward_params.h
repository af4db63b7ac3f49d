#pragma once

#include <cstdint>

#include "common/tensor_map.h"
#include "memory_attention/memory_attention.h"

/// What the kernels of the backward pass read and write. The mathematics and the tiling are in
/// README.md, section "Backward".
namespace fcc::kernels::backward {

/// Rows of queries or keys that one warpgroup keeps: the M of its matrix instructions.
constexpr int kBlockRows = 64;

/// Rows of the statistics of one (cell, batch row, head) are padded to a multiple of this, so that
/// they can be copied in whole tiles.
constexpr int kStatisticsPadding = kBlockRows;

/// The statistics of 64 query rows as a box of the copy engine: rows of 128 bytes.
constexpr int kStatisticsPerBoxRow = 16; // query rows, 8 bytes each
constexpr int kStatisticsBoxRows = kBlockRows / kStatisticsPerBoxRow;

/// What a launch of the gradient kernels needs, passed by value as a kernel parameter.
struct KernelParams {
  TileMap q; // boxes of 64 rows, as all maps here
  TileMap grad_out;
  TileMap out;
  TileMap k_mem; // unset if Lm == 0
  TileMap v_mem; // unset if Lm == 0
  TileMap k_cur;
  TileMap v_cur;

  const float* lse = nullptr;
  AttentionStrides lse_strides;

  AttentionOutput dq;
  AttentionOutput dk_mem;
  AttentionOutput dv_mem;
  AttentionOutput dk_cur;
  AttentionOutput dv_cur;

  MemoryAttentionShape shape;
  const uint8_t* has_memory = nullptr; // [C, B] or null
  TileMap statistics_map; // of `statistics` as rows of 128 bytes, boxes of kStatisticsBoxRows

  /// float32 [C, B, H, statistics_rows / 2, 4]: {lse, lse, delta, delta} of two neighbouring query
  /// rows; lse in base 2, +inf in the padding; delta = rowsum(dO * O), 0 in the padding. The kernel
  /// for dQ writes it, the one for dK and dV reads it.
  float* statistics = nullptr;
  int statistics_rows = 0; // Lq rounded up to kStatisticsPadding

  /// Items of the kernel for dK and dV that were handed out; the kernel for dQ sets it to 0.
  int* next_item = nullptr;

  /// Problems (cell, batch row, key/value head) whose shared operands fit the L2 cache together,
  /// which are therefore worked on together; by role.
  int query_problems_in_cache = 1;
  int key_problems_in_cache = 1;

  float scale = 0.0F;
  float scale_log2 = 0.0F; // scale * log2(e)
};

/// Rows of the statistics for this many queries.
constexpr int padded_statistics_rows(int num_queries) {
  return (num_queries + kStatisticsPadding - 1) / kStatisticsPadding * kStatisticsPadding;
}

/// Checks the rules of the public header and fills what the kernels take.
KernelStatus make_kernel_params(const MemoryAttentionBackwardParams& params, KernelParams& kernel);

/// The gradients, for head widths 64 and 128. `num_multiprocessors` bounds the grid.
cudaError_t
launch_gradients_e64(const KernelParams& params, int num_multiprocessors, cudaStream_t stream);
cudaError_t
launch_gradients_e128(const KernelParams& params, int num_multiprocessors, cudaStream_t stream);

} // namespace fcc::kernels::backward
