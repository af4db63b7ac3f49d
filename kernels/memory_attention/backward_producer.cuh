#pragma once

#include "common/hopper.cuh"
#include "memory_attention/backward_statistics.cuh"
#include "memory_attention/backward_traits.cuh"

namespace fcc::kernels::backward {

/// Copies `kRows` rows of one head, all panels of E, in boxes of 64 rows.
template <int kRows, int kPanels>
__device__ __forceinline__ void load_rows(
    uint8_t* destination,
    const TileMap& map,
    uint64_t* barrier,
    int row,
    int head,
    int batch,
    int cell) {
#pragma unroll
  for (int panel = 0; panel < kPanels; ++panel) {
#pragma unroll
    for (int box = 0; box < kRows / kBlockRows; ++box) {
      tma_load(
          destination + (panel * kRows + box * kBlockRows) * 128,
          &map.map,
          barrier,
          panel * 64,
          row + box * kBlockRows,
          head,
          batch,
          map.first_cell + cell * map.cell_step);
    }
  }
}

/// The work of the loading thread: hands out items and keeps the rings full, in the order in which
/// the consumers read. Role::kQueries takes items in turns, to and fro, as all weigh about the
/// same; Role::kKeys draws them from a counter.
template <class Traits>
class Producer {
 public:
  __device__ Producer(const KernelParams& params, typename Traits::Shared& shared)
      : params_(params), shared_(shared) {}

  __device__ __forceinline__ void run() {
    const int items = num_items<Traits::kRole, Traits::kItemBlocks>(params_.shape);
    int index = static_cast<int>(blockIdx.x);
    int round = 0;
    while (index < items) {
      const int next = next_item(++round); // early: the answer takes a while
      load_item(index);
      index = next;
    }
    mbarrier_wait(&shared_.kept_empty[kept_.stage], kept_.parity ^ 1U);
    shared_.orders[order_.stage].last = true;
    mbarrier_arrive(&shared_.kept_full[kept_.stage]);
  }

 private:
  using ItemOfRole = typename Traits::ItemOfRole;
  static constexpr bool kQueries = Traits::kRole == Role::kQueries;
  static constexpr int kTileRows = Traits::kTileRows;
  static constexpr int kPanels = Traits::kPanels;

  __device__ __forceinline__ int next_item(int round) const {
    const auto grid = static_cast<int>(gridDim.x);
    const auto block = static_cast<int>(blockIdx.x);
    if constexpr (kQueries) {
      return round * grid + (round % 2 == 0 ? block : grid - 1 - block);
    } else {
      return grid + atomicAdd(params_.next_item, 1);
    }
  }

  __device__ __forceinline__ void load_item(int index) {
    const ItemOfRole item(params_, index);
    const Stream stream = item.stream();
    load_kept(item, stream);
    if (kQueries && stream.segment_tiles > 0) {
      load_outputs(item);
    }
    for (int segment = 0; segment < stream.num_segments; ++segment) {
      for (int i = 0; i < stream.segment_tiles; ++i) {
        load_tile(item, stream, segment, i);
      }
    }
  }

  __device__ __forceinline__ void load_kept(const ItemOfRole& item, const Stream& stream) {
    const bool needed = stream.segment_tiles > 0;
    uint64_t* const full = &shared_.kept_full[kept_.stage];
    mbarrier_wait(&shared_.kept_empty[kept_.stage], kept_.parity ^ 1U);
    auto& order = shared_.orders[order_.stage];
    order.item = item;
    order.stream = stream;
#pragma unroll
    for (int i = 0; i < Traits::kItemBlocks; ++i) {
      order.blocks[i] = item.block(i);
    }
    order.last = false;
    order_.advance();
    uint32_t bytes = 0;
#pragma unroll
    for (int i = 0; i < Traits::kItemBlocks; ++i) {
      bytes += needed && item.block(i).active ? 2 * Traits::kKeptBytes : 0;
    }
    mbarrier_arrive_expect_bytes(full, bytes);
#pragma unroll
    for (int i = 0; i < Traits::kItemBlocks; ++i) {
      const Block block = item.block(i);
      if (needed && block.active) {
        const TileMap& first =
            kQueries ? params_.q : (block.in_memory ? params_.k_mem : params_.k_cur);
        const TileMap& second =
            kQueries ? params_.grad_out : (block.in_memory ? params_.v_mem : params_.v_cur);
        load_rows<kBlockRows, kPanels>(
            shared_.kept_first[kept_.stage][i],
            first,
            full,
            block.row0,
            block.head,
            item.batch,
            item.cell);
        load_rows<kBlockRows, kPanels>(
            shared_.kept_second[kept_.stage][i],
            second,
            full,
            block.row0,
            block.head,
            item.batch,
            item.cell);
      }
    }
    kept_.advance();
  }

  /// O of each block passes through the ring once, ahead of the tiles, for the statistics.
  __device__ __forceinline__ void load_outputs(const ItemOfRole& item) {
#pragma unroll
    for (int i = 0; i < Traits::kItemBlocks; ++i) {
      const Block block = item.block(i);
      uint64_t* const full = &shared_.tile_full[tile_.stage];
      mbarrier_wait(&shared_.tile_empty[tile_.stage], tile_.parity ^ 1U);
      mbarrier_arrive_expect_bytes(full, block.active ? Traits::kKeptBytes : 0);
      if (block.active) {
        load_rows<kBlockRows, kPanels>(
            shared_.tile_first[tile_.stage],
            params_.out,
            full,
            block.row0,
            block.head,
            item.batch,
            item.cell);
      }
      tile_.advance();
    }
  }

  __device__ __forceinline__ void
  load_tile(const ItemOfRole& item, const Stream& stream, int segment, int i) {
    const bool in_memory = kQueries && i < stream.memory_tiles;
    const int row = (in_memory ? i : stream.first_tile + i - stream.memory_tiles) * kTileRows;
    const int head = kQueries ? item.kv_head : item.kv_head * item.group + segment;
    const TileMap& first = !kQueries ? params_.q : (in_memory ? params_.k_mem : params_.k_cur);
    const TileMap& second =
        !kQueries ? params_.grad_out : (in_memory ? params_.v_mem : params_.v_cur);
    uint64_t* const full = &shared_.tile_full[tile_.stage];
    mbarrier_wait(&shared_.tile_empty[tile_.stage], tile_.parity ^ 1U);
    mbarrier_arrive_expect_bytes(full, 2 * Traits::kTileBytes + Traits::kStatisticsBytes);
    load_rows<kTileRows, kPanels>(
        shared_.tile_first[tile_.stage], first, full, row, head, item.batch, item.cell);
    load_rows<kTileRows, kPanels>(
        shared_.tile_second[tile_.stage], second, full, row, head, item.batch, item.cell);
    if constexpr (!kQueries) {
      const int64_t at = statistics_row(params_, item.cell, item.batch, head, row);
      tma_load(
          shared_.statistics[tile_.stage],
          &params_.statistics_map.map,
          full,
          0,
          static_cast<int>(at / kStatisticsPerBoxRow),
          0,
          0,
          0);
    }
    tile_.advance();
  }

  const KernelParams& params_;
  typename Traits::Shared& shared_;
  RingPosition<Traits::kKeptStages> kept_;
  RingPosition<Traits::kOrderStages> order_;
  RingPosition<Traits::kStages> tile_;
};

} // namespace fcc::kernels::backward
