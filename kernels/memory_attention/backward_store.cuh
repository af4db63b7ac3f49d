#pragma once

#include <cuda_bf16.h>

#include "common/hopper.cuh"
#include "memory_attention/backward_params.h"

namespace fcc::kernels::backward {

/// Writes the accumulator fragment `d` of a block, times `scale`, as bf16 rows of a
/// [cell, batch, row, head, E] tensor; rows from `num_rows` on are left out. Four neighbouring
/// lanes trade their words so that each stores 16 contiguous bytes.
template <int kHeadDim>
__device__ __forceinline__ void store_block(
    const float (&d)[kHeadDim / 2],
    float scale,
    const AttentionOutput& output,
    int cell,
    int batch,
    int row0,
    int num_rows,
    int head) {
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroupSize;
  const int quad_lane = thread % 4;
  const int row = row0 + thread / kWarpSize * 16 + thread % kWarpSize / 4;
  auto* const base = static_cast<__nv_bfloat16*>(output.data) + cell * output.strides.cell +
                     batch * output.strides.batch + head * output.strides.head;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int columns = 0; columns < kHeadDim / 8; columns += 4) {
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = 4 * (columns + i) + 2 * half;
        words[i] = pack_bf16(d[at] * scale, d[at + 1] * scale);
      }
      // A 4x4 transposition: word i of lane t becomes word t of lane i.
#pragma unroll
      for (int bit = 1; bit <= 2; bit *= 2) {
        const bool upper = (quad_lane & bit) != 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if ((i & bit) == 0) {
            const uint32_t sent = upper ? words[i] : words[i | bit];
            const uint32_t received = __shfl_xor_sync(0xFFFFFFFFU, sent, bit);
            words[i] = upper ? received : words[i];
            words[i | bit] = upper ? words[i | bit] : received;
          }
        }
      }
      const int this_row = row + 8 * half;
      if (this_row < num_rows) {
        *reinterpret_cast<uint4*>(
            base + this_row * output.strides.row + (columns + quad_lane) * 8) =
            make_uint4(words[0], words[1], words[2], words[3]);
      }
    }
  }
}

} // namespace fcc::kernels::backward
