#pragma once

#include <cstdint>

#include "memory_attention/backward_products.cuh"
#include "memory_attention/backward_statistics.cuh"
#include "memory_attention/backward_store.cuh"
#include "memory_attention/backward_weights.cuh"

namespace fcc::kernels::backward {

/// The tiles of a segment that concern a block, [begin, end), and how many segments there are.
struct ActiveTiles {
  int num_segments;
  int segment_tiles;
  int begin;
  int end;
};

template <class Item>
__device__ __forceinline__ ActiveTiles
active_tiles(const Item& item, const Block& block, const Stream& stream) {
  ActiveTiles active{stream.num_segments, stream.segment_tiles, 0, stream.segment_tiles};
  if constexpr (Item::kRole == Role::kQueries) {
    active.end = stream.memory_tiles +
        ceil_divide(min(item.num_queries, block.row0 + kBlockRows), Item::kTileRows);
  } else if (!block.in_memory) {
    active.begin = max(0, block.row0 / Item::kTileRows - stream.first_tile);
  }
  if (!block.active) {
    active.begin = active.end = 0;
  }
  if (active.begin == 0 && active.end == active.segment_tiles) {
    active.segment_tiles *= active.num_segments;  // one long run without a drain between heads
    active.end = active.segment_tiles;
    active.num_segments = 1;
  }
  return active;
}

/// The work of one consumer warpgroup. With rows r that it keeps and columns c that stream by:
///
///     S = kept_first tile_first^T       dP = kept_second tile_second^T
///     P = 2^(scale_log2 S - lse_log2)   dS = P (dP - delta)
///     dQ or dK += dS tile_first         dV += P tile_second (keys only)
///
/// P and dS go from the accumulators straight into the next products as their register operand.
/// The first two products of tile i + 1 are issued before the last two of tile i, so that the
/// arithmetic on tile i + 1 runs under the latter.
template <class Traits>
class Consumer {
 public:
  __device__ Consumer(const KernelParams& params, typename Traits::Shared& shared, int warpgroup)
      : params_(params), shared_(shared), warpgroup_(warpgroup) {}

  __device__ __forceinline__ void run() {
    if (kTurns && warpgroup_ == Traits::kWarpgroups - 1) {
      pass_turn();
    }
    for (;;) {
      mbarrier_wait(&shared_.kept_full[kept_.stage], kept_.parity);
      const int index = warp_uniform(shared_.item[kept_.stage]);
      if (index < 0) {
        break;
      }
      run_item(index);
    }
    if (kTurns && warpgroup_ == 0) {
      take_turn();  // absorbs the last pass, so that every arrival is met
    }
  }

 private:
  using ItemOfRole = Item<Traits::kRole, Traits::kWarpgroups, Traits::kTileRows>;
  static constexpr bool kQueries = Traits::kRole == Role::kQueries;
  static constexpr bool kTurns = Traits::kTurns;
  static constexpr int kHeadDim = Traits::kHeadDim;
  static constexpr int kTileRows = Traits::kTileRows;
  static constexpr int kFirstTurnBarrier = 1;

  __device__ __forceinline__ void take_turn() {
    if constexpr (kTurns) {
      named_barrier_sync(kFirstTurnBarrier + warpgroup_, 2 * kWarpgroupSize);
    }
  }
  __device__ __forceinline__ void pass_turn() {
    if constexpr (kTurns) {
      const int next = warpgroup_ + 1 == Traits::kWarpgroups ? 0 : warpgroup_ + 1;
      named_barrier_arrive(kFirstTurnBarrier + next, 2 * kWarpgroupSize);
    }
  }

  /// For both uses of a tile: rows of 64 elements of E, panels of E one after the other.
  static __device__ __forceinline__ uint64_t tile_descriptor(const uint8_t* tile) {
    return matrix_descriptor(warp_uniform_address(tile), Traits::kPanelBytesTile);
  }

  /// Each warp tells for itself that it has done with a buffer.
  __device__ __forceinline__ void release(uint64_t* empty) {
    __syncwarp();
    if (threadIdx.x % kWarpSize == 0) {
      mbarrier_arrive(empty);
    }
  }

  __device__ __forceinline__ void release_kept() {
    release(&shared_.kept_empty[kept_.stage]);
    kept_.advance();
  }

  __device__ __forceinline__ void skip_tiles(int count) {
    for (int i = 0; i < count; ++i) {
      take_turn();
      mbarrier_wait(&shared_.tile_full[tile_.stage], tile_.parity);
      release(&shared_.tile_empty[tile_.stage]);
      tile_.advance();
      pass_turn();
    }
  }

  __device__ __forceinline__ void run_item(int index) {
    float sum_first[kHeadDim / 2];                  // dQ or dK
    float sum_second[kQueries ? 1 : kHeadDim / 2];  // dV
#pragma unroll
    for (float& value : sum_first) {
      value = 0.0F;
    }
#pragma unroll
    for (float& value : sum_second) {
      value = 0.0F;
    }
    {
      const ItemOfRole item(params_, index);
      const Stream stream = item.stream();
      if (stream.segment_tiles > 0) {
        accumulate(item, item.block(warpgroup_), stream, sum_first, sum_second);
      } else {
        release_kept();
      }
    }
    // Taken apart anew, so that no register holds the item through the loop above.
    asm volatile("" : "+r"(index));
    const ItemOfRole item(params_, index);
    const Block block = item.block(warpgroup_);
    if (block.exists) {
      store(item, block, sum_first, sum_second);
    }
  }

  template <int kSecond>
  __device__ __forceinline__ void accumulate(const ItemOfRole& item,
                                             const Block& block,
                                             const Stream& stream,
                                             float (&sum_first)[kHeadDim / 2],
                                             float (&sum_second)[kSecond]) {
    const int thread = static_cast<int>(threadIdx.x) % kWarpgroupSize;
    const int row_in_block = thread / kWarpSize * 16 + thread % kWarpSize / 4;  // and + 8
    const uint8_t* const shared_first = shared_.kept_first[kept_.stage][warpgroup_];
    const uint8_t* const shared_second = shared_.kept_second[kept_.stage][warpgroup_];

    RowStatistics statistics{};
    if constexpr (kQueries) {
#pragma unroll
      for (int i = 0; i < Traits::kWarpgroups; ++i) {
        mbarrier_wait(&shared_.tile_full[tile_.stage], tile_.parity);
        if (i == warpgroup_ && block.active) {
          statistics = make_statistics<kHeadDim>(params_, shared_.tile_first[tile_.stage],
                                                 shared_second, item.cell, item.batch, block.head,
                                                 block.row0, row_in_block, thread % 4);
        }
        release(&shared_.tile_empty[tile_.stage]);
        tile_.advance();
      }
    }
    const KeptOperand<Traits, Traits::kKeptInRegisters >= 1> kept_first(shared_first);
    const KeptOperand<Traits, Traits::kKeptInRegisters >= 2> kept_second(shared_second);
    if constexpr (Traits::kKeptInRegisters == 2) {
      release_kept();
    }

    float scores[kTileRows / 2];
    float grads[kTileRows / 2];
    Weights<Traits> even;
    [[maybe_unused]] Weights<Traits> odd;
    int number = 0;      // of the tile whose scores are made next, in its segment
    int last_stage = 0;  // of the tile whose weights are made, whose last products come next
    int held_stage = -1;  // of the tile whose last products are on their way, if any

    // S and dP of the next tile, as a group each.
    const auto issue_scores = [&]() {
      wgmma_fence();
      kept_first.multiply(scores, tile_descriptor(shared_.tile_first[tile_.stage]));
      wgmma_commit();
    };
    const auto issue_grads = [&]() {
      wgmma_fence();
      kept_second.multiply(grads, tile_descriptor(shared_.tile_second[tile_.stage]));
      wgmma_commit();
    };
    const auto issue_last_products = [&](const Weights<Traits>& weights, int stage) {
      wgmma_fence();
      if constexpr (!kQueries) {
        multiply_weights<Traits>(sum_second, weights.p, tile_descriptor(shared_.tile_second[stage]));
      }
      multiply_weights<Traits>(sum_first, weights.ds, tile_descriptor(shared_.tile_first[stage]));
      wgmma_commit();
    };
    // Once S and dP of the next tile are there: what they weigh.
    const auto weigh = [&](Weights<Traits>& weights) {
      pin_registers(scores);
      pin_registers(grads);
      if constexpr (kQueries) {
        const bool in_memory = number < stream.memory_tiles;
        const int column0 = (in_memory ? number : number - stream.memory_tiles) * kTileRows;
        const int bound = (in_memory ? item.num_memory - 1 : block.row0) - column0;
        if (bound < kTileRows - 1) {
          const int step = in_memory ? 0 : 1;
          mask_scores<Traits>(scores, bound + step * row_in_block,
                              bound + step * (row_in_block + 8));
        }
      } else if (!block.in_memory) {
        const int bound = block.row0 - (stream.first_tile + number) * kTileRows;
        if (bound > 1 - kBlockRows) {
          mask_scores<Traits>(scores, bound + row_in_block, bound + row_in_block + 8);
        }
      }
      make_weights<Traits>(scores, grads, params_.scale_log2, statistics,
                           shared_.statistics[tile_.stage], weights);
      number = number + 1 == stream.segment_tiles ? 0 : number + 1;
      last_stage = tile_.stage;
      tile_.advance();
    };
    const auto release_held = [&]() {
      if (Traits::kOverlap && held_stage >= 0) {
        release(&shared_.tile_empty[held_stage]);
      }
    };
    const auto start = [&](Weights<Traits>& weights) {
      mbarrier_wait(&shared_.tile_full[tile_.stage], tile_.parity);
      take_turn();
      issue_scores();
      issue_grads();
      pass_turn();
      wgmma_wait<0>();
      weigh(weights);
    };
    // From one tile to the next. With two sets of weights the arithmetic of the next tile runs under
    // the last products of this one, with one set under those of the other warpgroups alone.
    const auto step = [&](Weights<Traits>& current, Weights<Traits>& next) {
      const int stage = last_stage;
      mbarrier_wait(&shared_.tile_full[tile_.stage], tile_.parity);
      take_turn();
      if constexpr (Traits::kOverlap) {
        issue_scores();
        issue_grads();
        issue_last_products(current, stage);
        pass_turn();
        wgmma_wait<1>();
        release_held();
        held_stage = stage;
        weigh(next);
      } else {
        issue_last_products(current, stage);
        issue_scores();
        wgmma_wait<1>();  // the weights' registers are free
        release(&shared_.tile_empty[stage]);
        issue_grads();
        pass_turn();
        wgmma_wait<0>();
        weigh(current);
      }
    };
    const auto finish = [&](const Weights<Traits>& current) {
      const int stage = last_stage;
      issue_last_products(current, stage);
      wgmma_wait<0>();
      release_held();
      held_stage = -1;
      release(&shared_.tile_empty[stage]);
    };

    const ActiveTiles active = active_tiles(item, block, stream);
    for (int segment = 0; segment < active.num_segments; ++segment) {
      skip_tiles(active.begin);
      if (active.begin < active.end) {
        number = active.begin;
        int steps = active.end - active.begin - 1;
        start(even);
        if constexpr (Traits::kOverlap) {
          for (; steps >= 2; steps -= 2) {
            step(even, odd);
            step(odd, even);
          }
          if (steps == 1) {
            step(even, odd);
            finish(odd);
          } else {
            finish(even);
          }
        } else {
          for (; steps > 0; --steps) {
            step(even, even);
          }
          finish(even);
        }
      }
      skip_tiles(active.segment_tiles - active.end);
    }
    pin_registers(sum_first);
    pin_registers(sum_second);
    if constexpr (Traits::kKeptInRegisters < 2) {
      release_kept();
    }
  }

  template <int kSecond>
  __device__ __forceinline__ void store(const ItemOfRole& item,
                                        const Block& block,
                                        const float (&sum_first)[kHeadDim / 2],
                                        const float (&sum_second)[kSecond]) {
    if constexpr (kQueries) {
      store_block<kHeadDim>(sum_first, params_.scale, params_.dq, item.cell, item.batch, block.row0,
                            item.num_queries, block.head);
    } else {
      const bool in_memory = block.in_memory;
      const int rows = in_memory ? params_.shape.num_memory : item.num_queries;
      store_block<kHeadDim>(sum_first, params_.scale, in_memory ? params_.dk_mem : params_.dk_cur,
                            item.cell, item.batch, block.row0, rows, block.head);
      store_block<kHeadDim>(sum_second, 1.0F, in_memory ? params_.dv_mem : params_.dv_cur,
                            item.cell, item.batch, block.row0, rows, block.head);
    }
  }

  const KernelParams& params_;
  typename Traits::Shared& shared_;
  const int warpgroup_;
  RingPosition<Traits::kKeptStages> kept_;
  RingPosition<Traits::kStages> tile_;
};

}  // namespace fcc::kernels::backward
