#pragma once

#include <cstdint>

#include "common/hopper.cuh"
#include "memory_attention/backward_items.cuh"

namespace fcc::kernels::backward {

/// How a warpgroup orders its work on a tile; `first` are the products S and dP, `last` those with
/// P and dS on the left. README.md says what each needs in registers and where it won.
enum class Schedule {
  kSplit, // dP under the exponentials, dV under the arithmetic of dS
  kTurns  // last of this tile, first of the next, then all arithmetic; warpgroups issue in turns
};

/// The shape of one kernel. Names as in README.md: a warpgroup keeps 64 rows, tiles of `TileRows`
/// rows stream through a ring of `Stages`, kept rows through one of `KeptStages` items.
template <
    int HeadDim,
    Role TheRole,
    int Warpgroups,
    int TileRows,
    int Stages,
    int KeptStages,
    int KeptInRegisters,
    Schedule TheSchedule,
    bool Together,
    int ProducerRegisters,
    int ConsumerRegisters>
struct Traits {
  static constexpr int kHeadDim = HeadDim;
  static constexpr Role kRole = TheRole;
  static constexpr int kWarpgroups = Warpgroups;
  static constexpr int kTileRows = TileRows;
  static constexpr int kStages = Stages;
  static constexpr int kKeptStages = KeptStages;
  static constexpr int kKeptInRegisters = KeptInRegisters; // how many of the two operands
  static constexpr Schedule kSchedule = TheSchedule;
  static constexpr bool kTogether = Together;
  static constexpr int kItemBlocks = Together ? 1 : Warpgroups;
  static constexpr int kProducerRegisters = ProducerRegisters;
  static constexpr int kConsumerRegisters = ConsumerRegisters;
  static constexpr int kThreads = (Warpgroups + 1) * kWarpgroupSize;

  static constexpr int kPanels = HeadDim / 64; // a panel: 64 elements of E, 128 bytes
  static constexpr int kPanelBytesKept = kBlockRows * 128;
  static constexpr int kPanelBytesTile = TileRows * 128;
  static constexpr int kKeptBytes = kPanels * kPanelBytesKept; // one tensor of one block
  static constexpr int kTileBytes = kPanels * kPanelBytesTile; // one tensor of one tile
  static constexpr int kStatisticsBytes = TheRole == Role::kKeys ? TileRows * 8 : 0;

  static constexpr int kPartialSums = Together ? HeadDim : 1; // dK and dV, a thread's share

  using ItemOfRole = Item<TheRole, kItemBlocks, TileRows>;
  using OrderOfRole = Order<ItemOfRole, kItemBlocks>;
  /// An order is read until its item's end, when the next but one may have its rows already.
  static constexpr int kOrderStages = KeptStages + 2;

  /// First operands are Q or K (they make the scores), second ones dO or V.
  struct alignas(1024) Shared {
    uint8_t kept_first[KeptStages][kItemBlocks][kKeptBytes];
    uint8_t kept_second[KeptStages][kItemBlocks][kKeptBytes];
    uint8_t tile_first[Stages][kTileBytes];
    uint8_t tile_second[Stages][kTileBytes];
    /// {lse, lse, delta, delta} of query pairs, swizzled like a tile. Each starts at 1024 bytes.
    float4 statistics[Stages][TheRole == Role::kKeys ? 1024 / sizeof(float4) : 1];
    float partial_sums[kPartialSums][kWarpgroupSize]; // of the second warpgroup, if together
    OrderOfRole orders[kOrderStages];
    uint64_t kept_full[KeptStages];
    uint64_t kept_empty[KeptStages];
    uint64_t tile_full[Stages];
    uint64_t tile_empty[Stages];
  };
  static_assert(
      !Together || (TheRole == Role::kKeys && Warpgroups == 2 && TheSchedule == Schedule::kSplit));
  static_assert(sizeof(Shared) <= 227 * 1024, "exceeds the shared memory of a CTA");
  static_assert(
      kProducerRegisters + Warpgroups * kConsumerRegisters <= 512,
      "exceeds the registers of a multiprocessor");
};

/// Position in a ring of `kStages` buffers and the parity of its current round.
template <int kStages>
struct RingPosition {
  int stage = 0;
  uint32_t parity = 0;

  __device__ void advance(int count) {
    const int rounds = (stage + count) / kStages;
    stage = stage + count - rounds * kStages;
    parity ^= static_cast<uint32_t>(rounds) & 1U;
  }

  __device__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1U;
    }
  }
};

} // namespace fcc::kernels::backward
