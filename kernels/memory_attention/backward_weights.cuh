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

/// Which chunk of a tile's swizzled statistics holds the thread's two of eight columns.
__device__ __forceinline__ int statistics_chunk(int i) {
  const int pair = 4 * i + static_cast<int>(threadIdx.x) % 4;
  return pair / 8 * 8 + ((pair % 8) ^ (pair / 8));
}

/// Eight columns of P = 2^(scale_log2 S - lse_log2), in place of the scores. The statistics belong
/// to the rows (`kept`) or to the columns (`tile`, in shared memory).
template <class Traits>
__device__ __forceinline__ void exponentiate(
    int i,
    float (&scores)[Traits::kTileRows / 2],
    float scale_log2,
    const RowStatistics& kept,
    const float4* tile,
    Weights<Traits>& weights) {
  constexpr bool kRowsAreQueries = Traits::kRole == Role::kQueries;
  float2 lse = make_float2(kept.lse_log2[0], kept.lse_log2[1]);
  if constexpr (!kRowsAreQueries) {
    lse = *reinterpret_cast<const float2*>(&tile[statistics_chunk(i)].x);
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const bool first = (kRowsAreQueries ? j / 2 : j % 2) == 0;
    float& value = scores[4 * i + j];
    value = exp2_approximate(value * scale_log2 - (first ? lse.x : lse.y));
  }
  if constexpr (!kRowsAreQueries) {
    weights.p[2 * i] = pack_bf16(scores[4 * i], scores[4 * i + 1]);
    weights.p[2 * i + 1] = pack_bf16(scores[4 * i + 2], scores[4 * i + 3]);
  }
}

/// Eight columns of dS = P (dP - delta).
template <class Traits>
__device__ __forceinline__ void differentiate(
    int i,
    const float (&probabilities)[Traits::kTileRows / 2],
    const float (&grads)[Traits::kTileRows / 2],
    const RowStatistics& kept,
    const float4* tile,
    Weights<Traits>& weights) {
  constexpr bool kRowsAreQueries = Traits::kRole == Role::kQueries;
  float2 delta = make_float2(kept.delta[0], kept.delta[1]);
  if constexpr (!kRowsAreQueries) {
    delta = *reinterpret_cast<const float2*>(&tile[statistics_chunk(i)].z);
  }
  float ds[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const bool first = (kRowsAreQueries ? j / 2 : j % 2) == 0;
    ds[j] = probabilities[4 * i + j] * (grads[4 * i + j] - (first ? delta.x : delta.y));
  }
  weights.ds[2 * i] = pack_bf16(ds[0], ds[1]);
  weights.ds[2 * i + 1] = pack_bf16(ds[2], ds[3]);
}

} // namespace fcc::kernels::backward
