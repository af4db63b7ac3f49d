#pragma once

#include <cstdint>

#include "common/fast_divisor.cuh"
#include "common/hopper.cuh"
#include "common/tensor_map.h"

/// What the forward kernel works on: its arguments, and how they are cut into items, units, tiles.
namespace fcc::kernels {

/// What the kernel needs to know, made by the launcher and passed by value.
struct ForwardArguments {
  TileMap q;     // boxes of 64 rows
  TileMap k_mem; // boxes of one key tile
  TileMap v_mem;
  TileMap k_cur;
  TileMap v_cur;
  TileMap out; // boxes of 64 rows

  float* lse; // [C, B, H, Lq]
  int64_t lse_cell_stride;
  int64_t lse_batch_stride;
  int64_t lse_head_stride;
  const uint8_t* has_memory; // [C, B] or null

  float scale_log2; // scale * log2(e)
  int num_queries;
  int num_memory;
  int num_units; // of a set: heads_per_kv * query tiles
  FastDivisor batch;
  FastDivisor num_kv_heads;
  FastDivisor heads_per_kv;

  // The order of work items; see WorkItem.
  int num_items;
  int items_per_set;           // ceil(num_units / warpgroups)
  int last_chunk;              // number of the last chunk, which may have fewer sets
  FastDivisor chunk_items;     // items of all other chunks
  FastDivisor chunk_sets;      // their sets, so many that keys and values stay in the L2 cache
  FastDivisor last_chunk_sets; // sets of the last one
};

/// One block's share of one set of keys: `kWarpgroups` units, i.e. (query tile, head) pairs with
/// the heads of the group running fastest.
///
/// Items are numbered so that items at work at the same time share keys in the L2 cache (sets come
/// in chunks) and so that the last ones of a chunk are the lightest (later query tiles see more
/// keys and go first). Blocks take them like a snake, in turns from left to right and back.
struct WorkItem {
  int cell;
  int batch;
  int kv_head;
  int rank; // in its set: 0 has the latest queries
  int num_memory_tiles;

  WorkItem() = default;

  __device__ __forceinline__ WorkItem(const ForwardArguments& a, int number, int key_tile) {
    const int chunk = a.chunk_items.quotient(number);
    const int in_chunk = number - chunk * a.chunk_items.value();
    const FastDivisor& sets = chunk == a.last_chunk ? a.last_chunk_sets : a.chunk_sets;
    rank = sets.quotient(in_chunk);
    const int set = chunk * a.chunk_sets.value() + in_chunk - rank * sets.value();
    const int problem = a.num_kv_heads.quotient(set);
    cell = a.batch.quotient(problem);
    batch = problem - cell * a.batch.value();
    kv_head = set - problem * a.num_kv_heads.value();
    const bool has_memory = a.has_memory == nullptr || warp_uniform(a.has_memory[problem]) != 0;
    num_memory_tiles = has_memory ? (a.num_memory + key_tile - 1) / key_tile : 0;
  }

  /// The item that this block takes in its `round`-th turn. A number past the end is past it in all
  /// later rounds, too.
  static __device__ __forceinline__ int number_of(int round) {
    const int blocks = static_cast<int>(gridDim.x);
    const int block = static_cast<int>(blockIdx.x);
    return round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
  }
};

/// A warpgroup's share of an item. Units beyond the last one exist too, as copies of it whose
/// result is not stored: so all warpgroups of a block always walk through the same tiles.
struct Unit {
  int head;
  int first_row;
  bool exists;

  template <class Traits>
  static __device__ __forceinline__ Unit
  of(const ForwardArguments& a, const WorkItem& item, int warpgroup) {
    Unit result{};
    int unit = 0;
    if constexpr (Traits::kPairUnits) {
      // The last warpgroup takes the late unit, as without pairs.
      const int late = a.num_units - 1 - item.rank;
      unit = warpgroup == 0 ? item.rank : late;
      result.exists = warpgroup != 0 || unit != late;
    } else {
      const int wanted = (a.items_per_set - 1 - item.rank) * Traits::kWarpgroups + warpgroup;
      unit = min(wanted, a.num_units - 1);
      result.exists = wanted == unit;
    }
    const int query_tile = a.heads_per_kv.quotient(unit);
    result.head =
        item.kv_head * a.heads_per_kv.value() + unit - query_tile * a.heads_per_kv.value();
    result.first_row = query_tile * Traits::kQueryTile;
    return result;
  }
};

/// The tiles of an item in the order in which they are visited: its current part from the last
/// query's diagonal down, then its memory, also downwards.
struct KeyTiles {
  int num_current = 0;
  int num = 0;

  __device__ __forceinline__ bool in_current(int tile) const {
    return tile < num_current;
  }
  __device__ __forceinline__ int first_row(int tile, int key_tile) const {
    return ((in_current(tile) ? num_current : num) - 1 - tile) * key_tile;
  }
};

template <class Traits>
__device__ __forceinline__ KeyTiles tiles_of(const ForwardArguments& a, const WorkItem& item) {
  const Unit last_unit = Unit::of<Traits>(a, item, Traits::kWarpgroups - 1);
  const int num_current = last_unit.first_row / Traits::kKeyTile + 1;
  return {num_current, num_current + item.num_memory_tiles};
}

__device__ __forceinline__ int map_cell(const TileMap& map, int cell) {
  return map.first_cell + cell * map.cell_step;
}

} // namespace fcc::kernels
