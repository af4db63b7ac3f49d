#pragma once

#include "memory_attention/backward_params.h"

/// How the backward is cut into work. Both kernels have the same shape: each warpgroup keeps a
/// *block* of 64 rows and its gradients in registers, while *tiles* of the other side stream by.
///
///   Role::kQueries  keeps rows of Q and dO of one head, streams keys and values, gives dQ;
///   Role::kKeys     keeps rows of K and V, streams Q and dO of all heads of the group, gives dK,
///   dV.
///
/// So every gradient is summed by one warpgroup in one order: deterministic, nothing to reduce.
namespace fcc::kernels::backward {

enum class Role { kQueries, kKeys };

__host__ __device__ constexpr int ceil_divide(int a, int b) {
  return (a + b - 1) / b;
}

/// Blocks of one (cell, batch row, key/value head).
template <Role kRole>
__host__ __device__ inline int num_blocks(const MemoryAttentionShape& shape) {
  const int current = ceil_divide(shape.num_queries, kBlockRows);
  return kRole == Role::kQueries ? current * (shape.num_heads / shape.num_kv_heads)
                                 : current + ceil_divide(shape.num_memory, kBlockRows);
}

/// What one CTA does in one go: neighbouring blocks of one (cell, batch row, key/value head), one a
/// warpgroup; or, for few problems, one block whose tiles the warpgroups share out. Items are
/// numbered by groups of problems that share the L2 cache, inside a group heaviest first.
template <Role kRole, int kItemBlocks>
__host__ __device__ inline int num_items(const MemoryAttentionShape& shape) {
  return ceil_divide(num_blocks<kRole>(shape), kItemBlocks) * shape.num_cells * shape.batch *
         shape.num_kv_heads;
}

/// The 64 rows that a warpgroup keeps.
struct Block {
  int row0 = 0;
  int head = 0;           // query head, or key/value head
  bool in_memory = false; // keys of the memory
  bool exists = false;    // false past the last block
  bool active = false;    // exists and attends to something, or is attended to
};

/// The tiles that a CTA streams: `num_segments` times the `segment_tiles` tiles from `first_tile`.
/// Role::kQueries has one segment: `memory_tiles` tiles of the memory, then current keys.
/// Role::kKeys has a segment of query tiles for each head of the group.
struct Stream {
  int num_segments = 0;
  int segment_tiles = 0;
  int first_tile = 0;
  int memory_tiles = 0;
};

template <Role TheRole, int kItemBlocks, int TileRows>
struct Item {
  static constexpr Role kRole = TheRole;
  static constexpr int kTileRows = TileRows;

  int cell;
  int batch;
  int kv_head;
  int group; // H/G
  int first_block;
  int num_queries;
  int num_memory; // 0 where the flag says so
  int memory_blocks;
  int current_blocks;

  __device__ Item(const KernelParams& params, int index) {
    const MemoryAttentionShape& shape = params.shape;
    const int num_problems = shape.num_cells * shape.batch * shape.num_kv_heads;
    const int in_cache =
        kRole == Role::kQueries ? params.query_problems_in_cache : params.key_problems_in_cache;
    const int chunks = ceil_divide(num_blocks<kRole>(shape), kItemBlocks);
    const int first_problem = index / (in_cache * chunks) * in_cache;
    const int problems = min(in_cache, num_problems - first_problem);
    const int inside = index - first_problem * chunks;
    const int chunk = inside / problems;
    const int problem = first_problem + inside - chunk * problems;
    const int row = problem / shape.num_kv_heads;
    kv_head = problem - row * shape.num_kv_heads;
    cell = row / shape.batch;
    batch = row - cell * shape.batch;
    group = shape.num_heads / shape.num_kv_heads;
    first_block = chunk * kItemBlocks;
    num_queries = shape.num_queries;
    const bool has_memory = params.has_memory == nullptr || params.has_memory[row] != 0;
    num_memory = has_memory ? shape.num_memory : 0;
    memory_blocks = ceil_divide(shape.num_memory, kBlockRows);
    current_blocks = ceil_divide(shape.num_queries, kBlockRows);
  }

  __device__ Block block(int of_item) const {
    const int number = first_block + of_item;
    Block block;
    if constexpr (kRole == Role::kQueries) {
      // The last queries see the most keys.
      block.exists = number < current_blocks * group;
      block.row0 = (current_blocks - 1 - number / group) * kBlockRows;
      block.head = kv_head * group + number % group;
      block.active = block.exists;
    } else {
      block.exists = number < memory_blocks + current_blocks;
      block.in_memory = number < memory_blocks;
      block.row0 = (block.in_memory ? number : number - memory_blocks) * kBlockRows;
      block.head = kv_head;
      block.active = block.exists && !(block.in_memory && num_memory == 0);
    }
    return block;
  }

  __device__ Stream stream() const {
    Stream stream;
    if constexpr (kRole == Role::kQueries) {
      const int last_row = min(num_queries, block(0).row0 + kBlockRows);
      stream.memory_tiles = ceil_divide(num_memory, kTileRows);
      stream.num_segments = 1;
      stream.segment_tiles = stream.memory_tiles + ceil_divide(last_row, kTileRows);
    } else {
      int first_row = num_queries;
#pragma unroll
      for (int i = 0; i < kItemBlocks; ++i) {
        const Block kept = block(i);
        if (kept.active) {
          first_row = min(first_row, kept.in_memory ? 0 : kept.row0);
        }
      }
      stream.first_tile = first_row / kTileRows;
      stream.segment_tiles =
          first_row < num_queries ? ceil_divide(num_queries, kTileRows) - stream.first_tile : 0;
      stream.num_segments = stream.segment_tiles > 0 ? group : 0;
    }
    return stream;
  }
};

/// An item taken apart, which the loading thread leaves in shared memory for the consumers: they
/// need no divisions then.
template <class Item, int kItemBlocks>
struct Order {
  Item item;
  Stream stream;
  Block blocks[kItemBlocks];
  bool last; // nothing else counts: no more items
};

} // namespace fcc::kernels::backward
