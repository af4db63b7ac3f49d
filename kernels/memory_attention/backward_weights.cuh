#pragma once

#include <cstdint>

#include "common/hopper.cuh"
#include "memory_attention/backward_statistics.cuh"
#include "memory_attention/backward_traits.cuh"

namespace fcc::kernels::backward {

/// P and dS of one tile, bf16, in the register layout of the left operand of the next products.
/// Role::kQueries needs only dS.
template <class Traits>
struct Weights {
  uint32_t p[Traits::kRole == Role::kKeys ? Traits::kTileRows / 4 : 1];
  uint32_t ds[Traits::kTileRows / 4];
};

/// Which pairs of a tile exist: those whose column lies at most (queries: keys up to the row) or
/// at least (keys: queries from the row on) `bounds` of its row; counted from the tile's first
/// column. Takes the others out of the scores.
template <class Traits>
__device__ __forceinline__ void
mask_scores(float (&scores)[Traits::kTileRows / 2], int bound0, int bound1) {
  const int column_in_8 = 2 * (static_cast<int>(threadIdx.x) % 4);
#pragma unroll
  for (int i = 0; i < Traits::kTileRows / 2; ++i) {
    const int column = i / 4 * 8 + i % 2 + column_in_8;
    const int bound = (i & 2) == 0 ? bound0 : bound1;
    const bool exists = Traits::kRole == Role::kQueries ? column <= bound : column >= bound;
    scores[i] = exists ? scores[i] : -INFINITY;
  }
}

/// P = 2^(scale_log2 S - lse_log2) and dS = P (dP - delta), where the statistics belong to the
/// rows (`kept`) or to the columns (`tile`, in shared memory).
template <class Traits>
__device__ __forceinline__ void make_weights(const float (&scores)[Traits::kTileRows / 2],
                                             const float (&grads)[Traits::kTileRows / 2],
                                             float scale_log2,
                                             const RowStatistics& kept,
                                             const float4* tile,
                                             Weights<Traits>& weights) {
  constexpr bool kRowsAreQueries = Traits::kRole == Role::kQueries;
  const int quad_lane = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int i = 0; i < Traits::kTileRows / 8; ++i) {
    float2 lse = make_float2(kept.lse_log2[0], kept.lse_log2[1]);
    float2 delta = make_float2(kept.delta[0], kept.delta[1]);
    if constexpr (!kRowsAreQueries) {
      const float4 pair = tile[4 * i + quad_lane];
      lse = make_float2(pair.x, pair.y);
      delta = make_float2(pair.z, pair.w);
    }
    float p[4];
    float ds[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const bool first = (kRowsAreQueries ? j / 2 : j % 2) == 0;
      p[j] = exp2_approximate(scores[4 * i + j] * scale_log2 - (first ? lse.x : lse.y));
      ds[j] = p[j] * (grads[4 * i + j] - (first ? delta.x : delta.y));
    }
    if constexpr (!kRowsAreQueries) {
      weights.p[2 * i] = pack_bf16(p[0], p[1]);
      weights.p[2 * i + 1] = pack_bf16(p[2], p[3]);
    }
    weights.ds[2 * i] = pack_bf16(ds[0], ds[1]);
    weights.ds[2 * i + 1] = pack_bf16(ds[2], ds[3]);
  }
}

}  // namespace fcc::kernels::backward
