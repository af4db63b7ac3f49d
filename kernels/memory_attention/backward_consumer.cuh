#pragma once

#include <cstdint>
#include <type_traits>

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
    active.segment_tiles *= active.num_segments; // one long run without a drain between heads
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
      if (warp_uniform(shared_.orders[order_.stage].last ? 1 : 0) != 0) {
        break;
      }
      run_item();
      order_.advance();
    }
    if (kTurns && warpgroup_ == 0) {
      take_turn(); // absorbs the last pass, so that every arrival is met
    }
  }

 private:
  using ItemOfRole = typename Traits::ItemOfRole;
  static constexpr bool kQueries = Traits::kRole == Role::kQueries;
  static constexpr bool kTurns = Traits::kSchedule == Schedule::kTurns;
  static constexpr int kHeadDim = Traits::kHeadDim;
  static constexpr int kTileRows = Traits::kTileRows;
  static constexpr int kStride = Traits::kTogether ? Traits::kWarpgroups : 1; // tiles to the next
  static constexpr int kFirstTurnBarrier = 1;
  static constexpr int kPartialSumsBarrier = 4;

  /// Which of the item's blocks this warpgroup keeps.
  __device__ __forceinline__ int kept_index() const {
    return Traits::kTogether ? 0 : warpgroup_;
  }

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

  __device__ __forceinline__ void run_item() {
    float sum_first[kHeadDim / 2];                 // dQ or dK
    float sum_second[kQueries ? 1 : kHeadDim / 2]; // dV
#pragma unroll
    for (float& value : sum_first) {
      value = 0.0F;
    }
#pragma unroll
    for (float& value : sum_second) {
      value = 0.0F;
    }
    int slot = order_.stage;
    {
      const auto& order = shared_.orders[slot];
      const Stream stream = uniform(order.stream);
      if (stream.segment_tiles > 0) {
        ItemOfRole item = order.item;
        item.num_memory = warp_uniform(item.num_memory);
        accumulate(item, uniform(order.blocks[kept_index()]), stream, sum_first, sum_second);
      } else {
        release_kept();
      }
    }
    if constexpr (Traits::kTogether) {
      add_partial_sums(sum_first, sum_second);
    }
    // The order is read anew, so that no register holds it through the loop above.
    asm volatile("" : "+r"(slot)::"memory");
    const auto& order = shared_.orders[slot];
    const Block block = order.blocks[kept_index()];
    if (block.exists && (!Traits::kTogether || warpgroup_ == 0)) {
      store(order.item, block, sum_first, sum_second);
    }
  }

  /// What steers loops and branches, known to the compiler to be the same in the whole warp.
  static __device__ __forceinline__ Stream uniform(const Stream& stream) {
    return {
        .num_segments = warp_uniform(stream.num_segments),
        .segment_tiles = warp_uniform(stream.segment_tiles),
        .first_tile = warp_uniform(stream.first_tile),
        .memory_tiles = warp_uniform(stream.memory_tiles)};
  }
  static __device__ __forceinline__ Block uniform(const Block& block) {
    return {
        .row0 = warp_uniform(block.row0),
        .head = warp_uniform(block.head),
        .in_memory = warp_uniform(block.in_memory ? 1 : 0) != 0,
        .exists = block.exists,
        .active = warp_uniform(block.active ? 1 : 0) != 0};
  }

  template <int kSecond>
  __device__ __forceinline__ void accumulate(
      const ItemOfRole& item,
      const Block& block,
      const Stream& stream,
      float (&sum_first)[kHeadDim / 2],
      float (&sum_second)[kSecond]) {
    const int thread = static_cast<int>(threadIdx.x) % kWarpgroupSize;
    const int row_in_block = thread / kWarpSize * 16 + thread % kWarpSize / 4; // and + 8
    const uint8_t* const shared_first = shared_.kept_first[kept_.stage][kept_index()];
    const uint8_t* const shared_second = shared_.kept_second[kept_.stage][kept_index()];

    RowStatistics statistics{};
    if constexpr (kQueries) {
      if (block.active) {
        load_lse(
            params_,
            item.cell,
            item.batch,
            block.head,
            block.row0 + row_in_block,
            statistics.lse_log2);
      }
#pragma unroll
      for (int i = 0; i < Traits::kWarpgroups; ++i) {
        mbarrier_wait(&shared_.tile_full[tile_.stage], tile_.parity);
        if (i == warpgroup_ && block.active) {
          make_statistics<kHeadDim>(
              params_,
              shared_.tile_first[tile_.stage],
              shared_second,
              item.cell,
              item.batch,
              block.head,
              block.row0,
              row_in_block,
              thread % 4,
              statistics);
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
    Weights<Traits> weights;
    TileOperands<Traits> next_tile; // whose scores are made next
    TileOperands<Traits> last_tile; // whose weights are made, whose last products come next
    int number = 0;                 // of the tile whose weights are made next, in its segment
    int last_stage = 0;             // of last_tile

    const auto wait_for_tile = [&]() {
      mbarrier_wait(&shared_.tile_full[tile_.stage], tile_.parity);
    };
    // The products, each as a group.
    const auto issue_scores = [&]() {
      wgmma_fence();
      kept_first.multiply(scores, next_tile.first());
      wgmma_commit();
    };
    const auto issue_grads = [&]() {
      wgmma_fence();
      kept_second.multiply(grads, next_tile.second());
      wgmma_commit();
    };
    const auto issue_last_products = [&]() {
      wgmma_fence();
      if constexpr (!kQueries) {
        multiply_weights<Traits>(sum_second, weights.p, last_tile.second());
      }
      multiply_weights<Traits>(sum_first, weights.ds, last_tile.first());
      wgmma_commit();
    };
    const auto mask = [&]() {
      if constexpr (kQueries) {
        const bool in_memory = number < stream.memory_tiles;
        const int column0 = (in_memory ? number : number - stream.memory_tiles) * kTileRows;
        const int bound = (in_memory ? item.num_memory - 1 : block.row0) - column0;
        if (bound < kTileRows - 1) {
          const int slope = in_memory ? 0 : 1;
          mask_scores<Traits>(
              scores, bound + slope * row_in_block, bound + slope * (row_in_block + 8));
        }
      } else if (!block.in_memory) {
        const int bound = block.row0 - (stream.first_tile + number) * kTileRows;
        if (bound > 1 - kBlockRows) {
          mask_scores<Traits>(scores, bound + row_in_block, bound + row_in_block + 8);
        }
      }
    };
    const auto leave_tile = [&]() {
      number += kStride;
      while (number >= stream.segment_tiles) {
        number -= stream.segment_tiles;
      }
      last_stage = tile_.stage;
      last_tile = next_tile;
      if constexpr (Traits::kTogether) {
        tile_.advance(kStride);
      } else {
        tile_.advance();
      }
      next_tile.point_to(shared_, tile_.stage);
    };
    // Once S and dP of the next tile are there: what they weigh.
    const auto weigh = [&]() {
      pin_registers(scores);
      pin_registers(grads);
      mask();
      const float4* tile_statistics = shared_.statistics[tile_.stage];
#pragma unroll
      for (int i = 0; i < kTileRows / 8; ++i) {
        exponentiate<Traits>(i, scores, params_.scale_log2, statistics, tile_statistics, weights);
        differentiate<Traits>(i, scores, grads, statistics, tile_statistics, weights);
      }
      leave_tile();
    };
    // The branch keeps the wait behind the exponentials: the assembler moves waits up inside a
    // basic block. Both ways are equal, and the four warps of a warpgroup go the same.
    const auto await_grads = [&]() {
      if (block.in_memory) {
        wgmma_wait<0>();
        pin_registers(grads);
      } else {
        wgmma_wait<0>();
        pin_registers(grads);
      }
    };
    // Schedule::kSplit, a tile whose scores are complete.
    const auto split_step = [&](auto has_next) {
      const float4* tile_statistics = shared_.statistics[tile_.stage];
      issue_grads();
      mask();
#pragma unroll
      for (int i = 0; i < kTileRows / 8; ++i) {
        exponentiate<Traits>(i, scores, params_.scale_log2, statistics, tile_statistics, weights);
      }
      await_grads();
      if constexpr (!kQueries) {
        wgmma_fence();
        multiply_weights<Traits>(sum_second, weights.p, next_tile.second());
        wgmma_commit();
      }
#pragma unroll
      for (int i = 0; i < kTileRows / 8; ++i) {
        differentiate<Traits>(i, scores, grads, statistics, tile_statistics, weights);
      }
      wgmma_fence();
      multiply_weights<Traits>(sum_first, weights.ds, next_tile.first());
      wgmma_commit();
      leave_tile();
      if constexpr (decltype(has_next)::value) {
        wait_for_tile();
        issue_scores();
      }
      wgmma_wait<0>();
      pin_registers(scores);
      release(&shared_.tile_empty[last_stage]);
    };
    // Schedule::kTurns, from a tile whose weights are made to the next.
    const auto turns_step = [&]() {
      const int stage = last_stage;
      wait_for_tile();
      take_turn();
      issue_last_products();
      issue_scores();
      wgmma_wait<1>(); // the registers of the weights are free
      release(&shared_.tile_empty[stage]);
      issue_grads();
      pass_turn();
      wgmma_wait<0>();
      weigh();
    };

    const auto run = [&](int count) {
      wait_for_tile();
      next_tile.point_to(shared_, tile_.stage);
      if constexpr (kTurns) {
        take_turn();
        issue_scores();
        issue_grads();
        pass_turn();
        wgmma_wait<0>();
        weigh();
        for (; count > 1; --count) {
          turns_step();
        }
        issue_last_products();
        wgmma_wait<0>();
        release(&shared_.tile_empty[last_stage]);
      } else {
        issue_scores();
        wgmma_wait<0>();
        pin_registers(scores);
        for (; count > 1; --count) {
          split_step(std::true_type{});
        }
        split_step(std::false_type{});
      }
    };

    if constexpr (Traits::kTogether) {
      const int tiles = stream.num_segments * stream.segment_tiles;
      const RingPosition<Traits::kStages> first = tile_;
      number = warpgroup_ % stream.segment_tiles;
      if (warpgroup_ < tiles) {
        tile_.advance(warpgroup_);
        run((tiles - warpgroup_ + kStride - 1) / kStride);
      }
      tile_ = first;
      tile_.advance(tiles);
    } else {
      const ActiveTiles active = active_tiles(item, block, stream);
      for (int segment = 0; segment < active.num_segments; ++segment) {
        skip_tiles(active.begin);
        if (active.begin < active.end) {
          number = active.begin;
          run(active.end - active.begin);
        }
        skip_tiles(active.segment_tiles - active.end);
      }
    }
    pin_registers(sum_first);
    pin_registers(sum_second);
    if constexpr (Traits::kKeptInRegisters < 2) {
      release_kept();
    }
  }

  /// Adds the second warpgroup's sums to the first's.
  template <int kSecond>
  __device__ __forceinline__ void add_partial_sums(
      float (&sum_first)[kHeadDim / 2],
      float (&sum_second)[kSecond]) {
    const int thread = static_cast<int>(threadIdx.x) % kWarpgroupSize;
    float(&partial)[Traits::kPartialSums][kWarpgroupSize] = shared_.partial_sums;
    if (warpgroup_ == 1) {
#pragma unroll
      for (int i = 0; i < kHeadDim / 2; ++i) {
        partial[i][thread] = sum_first[i];
        partial[kHeadDim / 2 + i][thread] = sum_second[i];
      }
    }
    named_barrier_sync(kPartialSumsBarrier, 2 * kWarpgroupSize);
    if (warpgroup_ == 0) {
#pragma unroll
      for (int i = 0; i < kHeadDim / 2; ++i) {
        sum_first[i] += partial[i][thread];
        sum_second[i] += partial[kHeadDim / 2 + i][thread];
      }
    }
    named_barrier_sync(kPartialSumsBarrier, 2 * kWarpgroupSize); // read before written again
  }

  template <int kSecond>
  __device__ __forceinline__ void store(
      const ItemOfRole& item,
      const Block& block,
      const float (&sum_first)[kHeadDim / 2],
      const float (&sum_second)[kSecond]) {
    if constexpr (kQueries) {
      store_block<kHeadDim>(
          sum_first,
          params_.scale,
          params_.dq,
          item.cell,
          item.batch,
          block.row0,
          item.num_queries,
          block.head);
    } else {
      const bool in_memory = block.in_memory;
      const int rows = in_memory ? params_.shape.num_memory : item.num_queries;
      store_block<kHeadDim>(
          sum_first,
          params_.scale,
          in_memory ? params_.dk_mem : params_.dk_cur,
          item.cell,
          item.batch,
          block.row0,
          rows,
          block.head);
      store_block<kHeadDim>(
          sum_second,
          1.0F,
          in_memory ? params_.dv_mem : params_.dv_cur,
          item.cell,
          item.batch,
          block.row0,
          rows,
          block.head);
    }
  }

  const KernelParams& params_;
  typename Traits::Shared& shared_;
  const int warpgroup_;
  RingPosition<Traits::kKeptStages> kept_;
  RingPosition<Traits::kOrderStages> order_;
  RingPosition<Traits::kStages> tile_;
};

} // namespace fcc::kernels::backward
