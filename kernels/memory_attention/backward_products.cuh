#pragma once

#include "common/wgmma.cuh"
#include "memory_attention/backward_traits.cuh"

namespace fcc::kernels::backward {

/// The shared-memory address, known to be the same in the whole warp: descriptors made from it stay
/// in uniform registers.
__device__ __forceinline__ uint32_t warp_uniform_address(const uint8_t* shared) {
  return static_cast<uint32_t>(warp_uniform(static_cast<int>(shared_address(shared))));
}

/// The rows [64, E] that a warpgroup keeps, as left operand of its products: in shared memory, or
/// copied once to registers (E/4 of them), which spares reading them again for every tile.
template <class Traits, bool kInRegisters>
class KeptOperand {
 public:
  __device__ explicit KeptOperand(const uint8_t* shared) {
    if constexpr (kInRegisters) {
      // Lane l gives the address of row l%16, 16-byte chunk l/16 of each 16x16 block.
      const uint32_t lane = threadIdx.x % kWarpSize;
      const uint32_t row = threadIdx.x % kWarpgroupSize / kWarpSize * 16 + lane % 16;
#pragma unroll
      for (int k = 0; k < kSteps; ++k) {
        const uint32_t panel = static_cast<uint32_t>(k / 4 * Traits::kPanelBytesKept);
        const uint32_t chunk = static_cast<uint32_t>(k % 4 * 2) + lane / 16;
        load_matrix_x4(shared_address(shared) + panel + swizzle128_offset(row, chunk), values_[k]);
      }
    } else {
      descriptor_ = matrix_descriptor(warp_uniform_address(shared));
    }
  }

  /// D[64, kTileRows] = kept * tile[kTileRows, E]^T, issued.
  __device__ __forceinline__ void multiply(float (&d)[Traits::kTileRows / 2], uint64_t tile) const {
    using Product = Wgmma<Traits::kTileRows>;
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      const int panel = k / 4;
      const int inside = (k % 4) * 2;
      const uint64_t b =
          tile + static_cast<uint64_t>(panel * (Traits::kPanelBytesTile >> 4) + inside);
      if constexpr (kInRegisters) {
        Product::template register_shared<Major::kK>(
            d, values_[k][0], values_[k][1], values_[k][2], values_[k][3], b, k > 0);
      } else {
        const uint64_t a = descriptor_ +
            static_cast<uint64_t>(panel * (Traits::kPanelBytesKept >> 4) + inside);
        Product::template shared_shared<Major::kK, Major::kK>(d, a, b, k > 0);
      }
    }
  }

 private:
  static constexpr int kSteps = Traits::kHeadDim / 16;
  uint64_t descriptor_ = 0;
  uint32_t values_[kInRegisters ? kSteps : 1][4];
};

/// D[64, E] += weights[64, kTileRows] * tile[kTileRows, E], weights in registers, issued.
template <class Traits>
__device__ __forceinline__ void multiply_weights(float (&d)[Traits::kHeadDim / 2],
                                                 const uint32_t (&weights)[Traits::kTileRows / 4],
                                                 uint64_t tile) {
#pragma unroll
  for (int k = 0; k < Traits::kTileRows / 16; ++k) {
    Wgmma<Traits::kHeadDim>::template register_shared<Major::kMN>(
        d, weights[4 * k], weights[4 * k + 1], weights[4 * k + 2], weights[4 * k + 3],
        tile + static_cast<uint64_t>(k * 128), true);
  }
}

}  // namespace fcc::kernels::backward
