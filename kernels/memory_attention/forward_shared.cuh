#pragma once

#include <cstdint>

#include "common/hopper.cuh"
#include "memory_attention/forward_traits.cuh"

/// The shared memory of the forward kernel and the rings that the roles walk through.
namespace fcc::kernels {

/// Where a role stands in a ring of `kDepth` places.
template <int kDepth>
struct RingPosition {
  int index = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ void advance() {
    ++index;
    if (index == kDepth) {
      index = 0;
      phase ^= 1U;
    }
  }
};

/// Shared-memory addresses of a block's tiles and barriers.
template <class Traits>
struct ForwardShared {
  uint32_t base; // aligned to 1024 bytes

  __device__ __forceinline__ explicit ForwardShared(const char* raw)
      : base(
            (shared_address(raw) + Traits::kAlignment - 1) / Traits::kAlignment *
            Traits::kAlignment) {}

  // Q of a warpgroup's unit, later its output; keys and values of a stage.
  __device__ __forceinline__ uint32_t query(int buffer, int warpgroup) const {
    return at((buffer * Traits::kWarpgroups + warpgroup) * Traits::kUnitBytes);
  }
  __device__ __forceinline__ uint32_t keys(int stage) const {
    return at(Traits::kStageOffset + stage * Traits::kStageBytes);
  }
  __device__ __forceinline__ uint32_t values(int stage) const {
    return at(Traits::kStageOffset + stage * Traits::kStageBytes + Traits::kKeyTileBytes);
  }

  // Barriers: "full" is completed by the copy engine, "empty" by those who have read.
  __device__ __forceinline__ uint32_t q_full(int buffer, int warpgroup) const {
    return barrier(buffer * Traits::kWarpgroups + warpgroup);
  }
  __device__ __forceinline__ uint32_t q_empty(int buffer, int warpgroup) const {
    return barrier((Traits::kQueryBuffers + buffer) * Traits::kWarpgroups + warpgroup);
  }
  __device__ __forceinline__ uint32_t full(int stage) const {
    return barrier(2 * Traits::kQueryBuffers * Traits::kWarpgroups + stage);
  }
  __device__ __forceinline__ uint32_t empty(int stage) const {
    return full(Traits::kStages + stage);
  }

  __device__ __forceinline__ void init_barriers() const {
    constexpr int kWarpsPerWarpgroup = 4;
    for (int w = 0; w < Traits::kQueryBuffers * Traits::kWarpgroups; ++w) {
      mbarrier_init(q_full(0, w), 1);
      mbarrier_init(q_empty(0, w), 1);
    }
    for (int s = 0; s < Traits::kStages; ++s) {
      mbarrier_init(full(s), 1);
      mbarrier_init(empty(s), kWarpsPerWarpgroup * Traits::kWarpgroups);
    }
  }

 private:
  __device__ __forceinline__ uint32_t at(int offset) const {
    return base + static_cast<uint32_t>(offset);
  }
  __device__ __forceinline__ uint32_t barrier(int index) const {
    return at(Traits::kBarrierOffset + 8 * index);
  }
};

} // namespace fcc::kernels
