#pragma once

#include <cstdint>

#include "common/hopper.cuh"
#include "memory_attention/forward_items.cuh"
#include "memory_attention/forward_shared.cuh"

/// The producer of the forward kernel: one thread that keeps the copy engine busy.
namespace fcc::kernels {

template <class Traits>
__device__ __forceinline__ void load_tile(
    uint32_t destination,
    int box_bytes,
    const TileMap& map,
    uint32_t barrier,
    int row,
    int head,
    const WorkItem& item) {
#pragma unroll
  for (int box = 0; box < Traits::kBoxesPerRow; ++box) {
    tma_load(
        destination + static_cast<uint32_t>(box * box_bytes),
        &map.map,
        barrier,
        64 * box,
        row,
        head,
        item.batch,
        map_cell(map, item.cell));
  }
}

template <class Traits>
__device__ __forceinline__ void produce(
    const ForwardArguments& a,
    const ForwardShared<Traits>& shared) {
  RingPosition<Traits::kStages> stage;
  RingPosition<Traits::kQueryBuffers> buffer;

  const auto load_keys = [&](const WorkItem& item, const KeyTiles& tiles, int tile) {
    load_tile<Traits>(
        shared.keys(stage.index),
        Traits::kKeyBoxBytes,
        tiles.in_current(tile) ? a.k_cur : a.k_mem,
        shared.full(stage.index),
        tiles.first_row(tile, Traits::kKeyTile),
        item.kv_head,
        item);
  };
  const auto load_values = [&](const WorkItem& item, const KeyTiles& tiles, int tile) {
    load_tile<Traits>(
        shared.values(stage.index),
        Traits::kKeyBoxBytes,
        tiles.in_current(tile) ? a.v_cur : a.v_mem,
        shared.full(stage.index),
        tiles.first_row(tile, Traits::kKeyTile),
        item.kv_head,
        item);
  };
  const auto open_stage = [&](int num_loads) {
    mbarrier_wait(shared.empty(stage.index), stage.phase ^ 1U);
    mbarrier_arrive_expect_bytes(
        shared.full(stage.index), static_cast<uint32_t>(num_loads * Traits::kKeyTileBytes));
  };

  WorkItem last_item{};
  KeyTiles last_tiles;
  for (int round = 0;; ++round) {
    const int number = WorkItem::number_of(round);
    if (number >= a.num_items) {
      break;
    }
    const WorkItem item(a, number, Traits::kKeyTile);
    const KeyTiles tiles = tiles_of<Traits>(a, item);

    for (int w = 0; w < Traits::kWarpgroups; ++w) {
      const Unit unit = Unit::of<Traits>(a, item, w);
      const uint32_t full = shared.q_full(buffer.index, w);
      mbarrier_wait(shared.q_empty(buffer.index, w), buffer.phase ^ 1U);
      mbarrier_arrive_expect_bytes(full, Traits::kUnitBytes);
      load_tile<Traits>(
          shared.query(buffer.index, w),
          Traits::kQueryBoxBytes,
          a.q,
          full,
          unit.first_row,
          unit.head,
          item);
    }
    buffer.advance();

    // A step brings what a warpgroup multiplies next to each other: the keys of a tile and the
    // values of the tile before, which may be the last one of the previous item.
    for (int tile = 0; tile < tiles.num; ++tile) {
      open_stage(round + tile == 0 ? 1 : 2);
      load_keys(item, tiles, tile);
      if (tile > 0) {
        load_values(item, tiles, tile - 1);
      } else if (round > 0) {
        load_values(last_item, last_tiles, last_tiles.num - 1);
      }
      stage.advance();
    }
    last_item = item;
    last_tiles = tiles;
  }
  open_stage(1);
  load_values(last_item, last_tiles, last_tiles.num - 1);
}

} // namespace fcc::kernels
