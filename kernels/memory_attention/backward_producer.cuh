#pragma once

#include "common/hopper.cuh"
#include "memory_attention/backward_traits.cuh"

namespace fcc::kernels::backward {

/// Copies `kRows` rows of one head, all panels of E, in boxes of 64 rows.
template <int kRows, int kPanels>
__device__ __forceinline__ void load_rows(
    uint8_t* destination, const TileMap& map, uint64_t* barrier, int row, int head, int batch, int cell) {
#pragma unroll
  for (int panel = 0; panel < kPanels; ++panel) {
#pragma unroll
    for (int box = 0; box < kRows / kBlockRows; ++box) {
      tma_load(destination + (panel * kRows + box * kBlockRows) * 128,
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

/// The work of the loading thread: keeps the rings full, in the order in which the consumers read.
template <class Traits>
__device__ void produce(const KernelParams& params, typename Traits::Shared& shared) {
  using ItemOfRole = Item<Traits::kRole, Traits::kWarpgroups, Traits::kTileRows>;
  constexpr bool kQueries = Traits::kRole == Role::kQueries;
  constexpr int kTileRows = Traits::kTileRows;
  constexpr int kPanels = Traits::kPanels;

  RingPosition<Traits::kKeptStages> kept;
  RingPosition<Traits::kStages> tile;
  const int items = num_items<Traits::kRole, Traits::kWarpgroups>(params.shape);
  for (int index = static_cast<int>(blockIdx.x); index < items;
       index += static_cast<int>(gridDim.x)) {
    const ItemOfRole item(params, index);
    const Stream stream = item.stream();
    if (stream.segment_tiles == 0) {
      continue;
    }

    mbarrier_wait(&shared.kept_empty[kept.stage], kept.parity ^ 1U);
    uint32_t kept_bytes = 0;
#pragma unroll
    for (int i = 0; i < Traits::kWarpgroups; ++i) {
      kept_bytes += item.block(i).active ? 2 * Traits::kKeptBytes : 0;
    }
    uint64_t* const kept_full = &shared.kept_full[kept.stage];
    mbarrier_arrive_expect_bytes(kept_full, kept_bytes);
#pragma unroll
    for (int i = 0; i < Traits::kWarpgroups; ++i) {
      const Block block = item.block(i);
      if (block.active) {
        const TileMap& first =
            kQueries ? params.q : (block.in_memory ? params.k_mem : params.k_cur);
        const TileMap& second =
            kQueries ? params.grad_out : (block.in_memory ? params.v_mem : params.v_cur);
        load_rows<kBlockRows, kPanels>(shared.kept_first[kept.stage][i], first, kept_full,
                                       block.row0, block.head, item.batch, item.cell);
        load_rows<kBlockRows, kPanels>(shared.kept_second[kept.stage][i], second, kept_full,
                                       block.row0, block.head, item.batch, item.cell);
      }
    }
    kept.advance();

    for (int segment = 0; segment < stream.num_segments; ++segment) {
      for (int i = 0; i < stream.segment_tiles; ++i) {
        const bool in_memory = kQueries && i < stream.memory_tiles;
        const int number = in_memory ? i : stream.first_tile + i - stream.memory_tiles;
        const int head = kQueries ? item.kv_head : item.kv_head * item.group + segment;
        const TileMap& first = !kQueries ? params.q : (in_memory ? params.k_mem : params.k_cur);
        const TileMap& second =
            !kQueries ? params.grad_out : (in_memory ? params.v_mem : params.v_cur);
        uint64_t* const full = &shared.tile_full[tile.stage];
        mbarrier_wait(&shared.tile_empty[tile.stage], tile.parity ^ 1U);
        mbarrier_arrive_expect_bytes(full, 2 * (Traits::kTileBytes + Traits::kStatisticsBytes));
        load_rows<kTileRows, kPanels>(shared.tile_first[tile.stage], first, full,
                                      number * kTileRows, head, item.batch, item.cell);
        load_rows<kTileRows, kPanels>(shared.tile_second[tile.stage], second, full,
                                      number * kTileRows, head, item.batch, item.cell);
        if constexpr (!kQueries) {
          const int64_t row =
              (static_cast<int64_t>(item.cell * params.shape.batch + item.batch) *
                   params.shape.num_heads +
               head) *
                  params.statistics_rows +
              number * kTileRows;
          bulk_load(shared.lse_log2[tile.stage], params.lse_log2 + row, Traits::kStatisticsBytes,
                    full);
          bulk_load(shared.delta[tile.stage], params.delta + row, Traits::kStatisticsBytes, full);
        }
        tile.advance();
      }
    }
  }
}

}  // namespace fcc::kernels::backward
