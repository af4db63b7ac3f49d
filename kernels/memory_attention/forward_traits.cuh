#pragma once

#include <cstdint>

#include "common/hopper.cuh"

namespace fcc::kernels {

/// Tile sizes, shared memory and register budget of one forward kernel.
///
/// A block is one producer warpgroup and `kWarpgroups` consumer warpgroups. Each consumer works on
/// one *unit*: 64 query rows of one head. The units of a block share a key/value head, so every
/// tile of `kKeyTile` keys that the producer brings serves all of them.
template <int kHeadDim_, int kWarpgroups_, int kKeyTile_, int kStages_, bool kPairUnits_ = false>
struct ForwardTraits {
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr int kWarpgroups = kWarpgroups_;
  static constexpr int kKeyTile = kKeyTile_;
  static constexpr int kStages = kStages_;
  /// For launches with fewer items than multiprocessors: an item takes one unit from either end of
  /// the sequence, so that all items have the same work. Otherwise the units of an item follow each
  /// other, which lets heads of a group share their key tiles from the first to the last.
  static constexpr bool kPairUnits = kPairUnits_;
  static_assert(!kPairUnits || kWarpgroups == 2);
  static_assert(kHeadDim % 64 == 0 && kKeyTile % 64 == 0); // mask.cuh rests on the latter

  static constexpr int kQueryTile = 64; // rows of one wgmma
  static constexpr int kThreads = (kWarpgroups + 1) * kWarpgroupSize;
  static constexpr int kBoxesPerRow = kHeadDim / 64;

  // Registers a thread. A block owns what it was launched with; the producer gives its share up
  // and the consumers divide it.
  static constexpr int kLaunchRegisters = 65536 / kThreads / 8 * 8;
  static constexpr int kProducerRegisters = 24;
  static constexpr int kFairShare =
      (kLaunchRegisters * kThreads - kProducerRegisters * kWarpgroupSize) /
      (kWarpgroups * kWarpgroupSize) / 8 * 8;
  static constexpr int kConsumerRegisters = kFairShare < 240 ? kFairShare : 240;

  // Shared memory: every box is 64 elements wide, rows of 128 bytes, aligned to 1024 bytes. Query
  // tiles have two buffers, of this item and of the next; the output leaves through the one of its
  // own queries.
  static constexpr int kQueryBuffers = 2;
  static constexpr int kQueryBoxBytes = kQueryTile * 128;
  static constexpr int kUnitBytes = kBoxesPerRow * kQueryBoxBytes;
  static constexpr int kKeyBoxBytes = kKeyTile * 128;
  static constexpr int kKeyTileBytes = kBoxesPerRow * kKeyBoxBytes;
  static constexpr int kStageBytes = 2 * kKeyTileBytes; // keys and values
  static constexpr int kStageOffset = kQueryBuffers * kWarpgroups * kUnitBytes;
  static constexpr int kBarrierOffset = kStageOffset + kStages * kStageBytes;
  static constexpr int kNumBarriers = 2 * kQueryBuffers * kWarpgroups + 2 * kStages;
  static constexpr int kAlignment = 1024;
  static constexpr int kSharedBytes = kBarrierOffset + 8 * kNumBarriers + kAlignment;
  static_assert(kSharedBytes <= 227 * 1024);
};

} // namespace fcc::kernels
