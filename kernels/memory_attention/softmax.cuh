#pragma once

#include <cmath>

#include "common/hopper.cuh"

namespace fcc::kernels {

/// The running softmax of the two rows that a thread shares with the three others of its quad
/// (Milakov and Gimelshein 2018, as in FlashAttention), in base 2: scores are multiplied by
/// scale * log2(e) inside the exponent.
///
/// The subtracted maximum is allowed to lag: it moves only when some score exceeds it by more than
/// 2^kSlack, so that most tiles need neither the exchange between threads nor a rescaling of the
/// output. Probabilities are then at most 2^kSlack instead of 1, which bf16 and float32 hold with
/// the same relative precision, and the division by the sum cancels the factor.
class OnlineSoftmax {
 public:
  static constexpr float kSlack = 8.0F;

  __device__ __forceinline__ explicit OnlineSoftmax(float scale_log2)
      : scale_log2_(scale_log2), slack_(kSlack / scale_log2) {}

  /// Forgets everything but the scale.
  __device__ __forceinline__ void restart() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      max_[r] = -INFINITY;
      sum_[r] = 0.0F;
    }
  }

  /// Updates the maxima for a tile of scores. Returns whether this warp's earlier sums were
  /// rescaled; then `factor` says by what, and the output accumulated so far must be, too.
  template <int kCount>
  __device__ __forceinline__ bool update_max(const float (&scores)[kCount], float (&factor)[2]) {
    float tile_max[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int i = 0; i < kCount / 4; ++i) {
      tile_max[0] = fmaxf(tile_max[0], fmaxf(scores[4 * i + 0], scores[4 * i + 1]));
      tile_max[1] = fmaxf(tile_max[1], fmaxf(scores[4 * i + 2], scores[4 * i + 3]));
    }
    const bool exceeds = tile_max[0] > max_[0] + slack_ || tile_max[1] > max_[1] + slack_;
    if (!__any_sync(0xFFFFFFFFU, exceeds)) {
      return false;
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      tile_max[r] = fmaxf(tile_max[r], __shfl_xor_sync(0xFFFFFFFFU, tile_max[r], 1));
      tile_max[r] = fmaxf(tile_max[r], __shfl_xor_sync(0xFFFFFFFFU, tile_max[r], 2));
      const float raised = fmaxf(max_[r], tile_max[r]);
      factor[r] = exp2_approximate((max_[r] - raised) * scale_log2_);
      max_[r] = raised;
      sum_[r] *= factor[r];
    }
    return true;
  }

  /// Replaces scores by 2^(scale_log2 * (score - max)) and adds them to this thread's sums.
  template <int kCount>
  __device__ __forceinline__ void exponentiate(float (&scores)[kCount]) {
    const float shift[2] = {-max_[0] * scale_log2_, -max_[1] * scale_log2_};
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int r = i / 2 % 2;
      scores[i] = exp2_approximate(fmaf(scores[i], scale_log2_, shift[r]));
      sum_[r] += scores[i];
    }
  }

  /// Completes the sums over the quad. Returns their reciprocals in `inverse` and the natural
  /// logarithms of the full denominators in `lse`.
  __device__ __forceinline__ void finish(float (&inverse)[2], float (&lse)[2]) {
    constexpr float kLn2 = 0.693147180559945309F;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      sum_[r] += __shfl_xor_sync(0xFFFFFFFFU, sum_[r], 1);
      sum_[r] += __shfl_xor_sync(0xFFFFFFFFU, sum_[r], 2);
      inverse[r] = __fdividef(1.0F, sum_[r]);
      lse[r] = (max_[r] * scale_log2_ + __log2f(sum_[r])) * kLn2;
    }
  }

 private:
  float scale_log2_;
  float slack_;
  float max_[2] = {-INFINITY, -INFINITY};
  float sum_[2] = {0.0F, 0.0F};
};

} // namespace fcc::kernels
