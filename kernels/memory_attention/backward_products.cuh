#pragma once

#include "common/wgmma.cuh"
#include "memory_attention/backward_traits.cuh"

namespace fcc::kernels::backward {

/// The upper half of every descriptor: 128-byte swizzle, 1024 bytes from eight rows to the next.
constexpr uint64_t kDescriptorHighWord = 0x4000004000000000ULL;

/// A descriptor in uniform registers, where the matrix instructions want it. A reduction over equal
/// words is the one instruction that moves a value there and tells the compiler that it is uniform,
/// so that the steps along the operand are uniform arithmetic too.
__device__ __forceinline__ uint64_t uniform_descriptor(uint32_t low_word) {
  return kDescriptorHighWord | __reduce_or_sync(0xFFFFFFFFU, low_word);
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
      low_word_ = static_cast<uint32_t>(matrix_descriptor(shared_address(shared)));
    }
  }

  /// D[64, kTileRows] = kept * tile[kTileRows, E]^T, issued.
  __device__ __forceinline__ void multiply(float (&d)[Traits::kTileRows / 2], uint64_t tile) const {
    using Product = Wgmma<Traits::kTileRows>;
    const uint64_t kept = kInRegisters ? 0 : uniform_descriptor(low_word_);
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
        const uint64_t a =
            kept + static_cast<uint64_t>(panel * (Traits::kPanelBytesKept >> 4) + inside);
        Product::template shared_shared<Major::kK, Major::kK>(d, a, b, k > 0);
      }
    }
  }

 private:
  static constexpr int kSteps = Traits::kHeadDim / 16;
  uint32_t low_word_ = 0;
  uint32_t values_[kInRegisters ? kSteps : 1][4];
};

/// The two tensors of a streamed tile as operands. One descriptor is used for both of a tensor's
/// uses, along E and along its rows.
template <class Traits>
class TileOperands {
 public:
  __device__ __forceinline__ void point_to(const typename Traits::Shared& shared, int stage) {
    first_ = low_word(shared.tile_first[stage]);
    second_ = low_word(shared.tile_second[stage]);
  }
  __device__ __forceinline__ uint64_t first() const {
    return uniform_descriptor(first_);
  }
  __device__ __forceinline__ uint64_t second() const {
    return uniform_descriptor(second_);
  }

 private:
  static __device__ __forceinline__ uint32_t low_word(const uint8_t* tile) {
    return static_cast<uint32_t>(matrix_descriptor(shared_address(tile), Traits::kPanelBytesTile));
  }

  uint32_t first_ = 0;
  uint32_t second_ = 0;
};

/// D[64, E] += weights[64, kTileRows] * tile[kTileRows, E], weights in registers, issued.
template <class Traits>
__device__ __forceinline__ void multiply_weights(
    float (&d)[Traits::kHeadDim / 2],
    const uint32_t (&weights)[Traits::kTileRows / 4],
    uint64_t tile) {
#pragma unroll
  for (int k = 0; k < Traits::kTileRows / 16; ++k) {
    Wgmma<Traits::kHeadDim>::template register_shared<Major::kMN>(
        d,
        weights[4 * k],
        weights[4 * k + 1],
        weights[4 * k + 2],
        weights[4 * k + 3],
        tile + static_cast<uint64_t>(k * 128),
        true);
  }
}

} // namespace fcc::kernels::backward
