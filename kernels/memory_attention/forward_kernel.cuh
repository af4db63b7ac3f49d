#pragma once

#include <cstdint>

#include "common/fast_divisor.cuh"
#include "common/hopper.cuh"
#include "common/tensor_map.h"
#include "common/wgmma.cuh"
#include "memory_attention/forward_traits.cuh"
#include "memory_attention/mask.cuh"
#include "memory_attention/softmax.cuh"

/// The forward pass: a persistent, warp-specialised kernel (README.md tells it as a story).
namespace fcc::kernels {

/// What the kernel needs to know, made by the launcher and passed by value.
struct ForwardArguments {
  TileMap q;      // boxes of 64 rows
  TileMap k_mem;  // boxes of one key tile
  TileMap v_mem;
  TileMap k_cur;
  TileMap v_cur;
  TileMap out;  // boxes of 64 rows

  float* lse;  // [C, B, H, Lq]
  int64_t lse_cell_stride;
  int64_t lse_batch_stride;
  int64_t lse_head_stride;
  const uint8_t* has_memory;  // [C, B] or null

  float scale_log2;  // scale * log2(e)
  int num_queries;
  int num_memory;
  int num_units;  // of a set: heads_per_kv * query tiles
  FastDivisor batch;
  FastDivisor num_kv_heads;
  FastDivisor heads_per_kv;

  // The order of work items; see WorkItem.
  int num_items;
  int items_per_set;            // ceil(num_units / warpgroups)
  int last_chunk;               // number of the last chunk, which may have fewer sets
  FastDivisor chunk_items;      // items of all other chunks
  FastDivisor chunk_sets;       // their sets, so many that keys and values stay in the L2 cache
  FastDivisor last_chunk_sets;  // sets of the last one
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
  int first_unit;
  int num_memory_tiles;

  WorkItem() = default;

  __device__ __forceinline__ WorkItem(
      const ForwardArguments& a, int number, int warpgroups, int key_tile) {
    const int chunk = a.chunk_items.quotient(number);
    const int in_chunk = number - chunk * a.chunk_items.value();
    const FastDivisor& sets = chunk == a.last_chunk ? a.last_chunk_sets : a.chunk_sets;
    const int rank = sets.quotient(in_chunk);
    const int set = chunk * a.chunk_sets.value() + in_chunk - rank * sets.value();
    const int problem = a.num_kv_heads.quotient(set);
    cell = a.batch.quotient(problem);
    batch = problem - cell * a.batch.value();
    kv_head = set - problem * a.num_kv_heads.value();
    first_unit = (a.items_per_set - 1 - rank) * warpgroups;
    const bool has_memory =
        a.has_memory == nullptr || warp_uniform(a.has_memory[problem]) != 0;
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

  __device__ __forceinline__ Unit(const ForwardArguments& a, const WorkItem& item, int warpgroup) {
    const int wanted = item.first_unit + warpgroup;
    const int unit = min(wanted, a.num_units - 1);
    exists = wanted == unit;
    const int query_tile = a.heads_per_kv.quotient(unit);
    head = item.kv_head * a.heads_per_kv.value() + unit - query_tile * a.heads_per_kv.value();
    first_row = query_tile * 64;
  }
};

/// Where a role stands in a ring of `kDepth` places.
template <int kDepth>
struct RingPosition {
  int index = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ void advance() {
    ++index;
    if (index == kDepth) {
      index = 0;
      phase ^= 1U;
    }
  }
};

/// Shared-memory addresses of a block's tiles and barriers.
template <class Traits>
struct ForwardShared {
  uint32_t base;  // aligned to 1024 bytes

  __device__ __forceinline__ explicit ForwardShared(const char* raw)
      : base((shared_address(raw) + Traits::kAlignment - 1) / Traits::kAlignment *
             Traits::kAlignment) {}

  // Q of a warpgroup's unit, later its output; keys and values of a stage.
  __device__ __forceinline__ uint32_t query(int buffer, int warpgroup) const {
    return at((buffer * Traits::kWarpgroups + warpgroup) * Traits::kUnitBytes);
  }
  __device__ __forceinline__ uint32_t keys(int stage) const {
    return at(Traits::kStageOffset + stage * Traits::kStageBytes);
  }
  __device__ __forceinline__ uint32_t values(int stage) const {
    return at(Traits::kStageOffset + stage * Traits::kStageBytes + Traits::kKeyTileBytes);
  }

  // Barriers: "full" is completed by the copy engine, "empty" by those who have read.
  __device__ __forceinline__ uint32_t q_full(int buffer, int warpgroup) const {
    return barrier(buffer * Traits::kWarpgroups + warpgroup);
  }
  __device__ __forceinline__ uint32_t q_empty(int buffer, int warpgroup) const {
    return barrier((Traits::kQueryBuffers + buffer) * Traits::kWarpgroups + warpgroup);
  }
  __device__ __forceinline__ uint32_t full(int stage) const {
    return barrier(2 * Traits::kQueryBuffers * Traits::kWarpgroups + stage);
  }
  __device__ __forceinline__ uint32_t empty(int stage) const {
    return full(Traits::kStages + stage);
  }

  __device__ __forceinline__ void init_barriers() const {
    constexpr int kWarpsPerWarpgroup = 4;
    for (int w = 0; w < Traits::kQueryBuffers * Traits::kWarpgroups; ++w) {
      mbarrier_init(q_full(0, w), 1);
      mbarrier_init(q_empty(0, w), 1);
    }
    for (int s = 0; s < Traits::kStages; ++s) {
      mbarrier_init(full(s), 1);
      mbarrier_init(empty(s), kWarpsPerWarpgroup * Traits::kWarpgroups);
    }
  }

 private:
  __device__ __forceinline__ uint32_t at(int offset) const {
    return base + static_cast<uint32_t>(offset);
  }
  __device__ __forceinline__ uint32_t barrier(int index) const {
    return at(Traits::kBarrierOffset + 8 * index);
  }
};

__device__ __forceinline__ int map_cell(const TileMap& map, int cell) {
  return map.first_cell + cell * map.cell_step;
}

// ---- The producer: one thread that keeps the copy engine busy.

template <class Traits>
__device__ __forceinline__ void load_tile(uint32_t destination,
                                          int box_bytes,
                                          const TileMap& map,
                                          uint32_t barrier,
                                          int row,
                                          int head,
                                          const WorkItem& item) {
#pragma unroll
  for (int box = 0; box < Traits::kBoxesPerRow; ++box) {
    tma_load(destination + static_cast<uint32_t>(box * box_bytes),
             &map.map,
             barrier,
             64 * box,
             row,
             head,
             item.batch,
             map_cell(map, item.cell));
  }
}

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
  const Unit last_unit(a, item, Traits::kWarpgroups - 1);
  const int num_current = last_unit.first_row / Traits::kKeyTile + 1;
  return {num_current, num_current + item.num_memory_tiles};
}

template <class Traits>
__device__ __forceinline__ void produce(const ForwardArguments& a,
                                        const ForwardShared<Traits>& shared) {
  RingPosition<Traits::kStages> stage;
  RingPosition<Traits::kQueryBuffers> buffer;

  const auto load_keys = [&](const WorkItem& item, const KeyTiles& tiles, int tile) {
    load_tile<Traits>(shared.keys(stage.index),
                      Traits::kKeyBoxBytes,
                      tiles.in_current(tile) ? a.k_cur : a.k_mem,
                      shared.full(stage.index),
                      tiles.first_row(tile, Traits::kKeyTile),
                      item.kv_head,
                      item);
  };
  const auto load_values = [&](const WorkItem& item, const KeyTiles& tiles, int tile) {
    load_tile<Traits>(shared.values(stage.index),
                      Traits::kKeyBoxBytes,
                      tiles.in_current(tile) ? a.v_cur : a.v_mem,
                      shared.full(stage.index),
                      tiles.first_row(tile, Traits::kKeyTile),
                      item.kv_head,
                      item);
  };
  const auto open_stage = [&](int num_loads) {
    mbarrier_wait(shared.empty(stage.index), stage.phase ^ 1U);
    mbarrier_arrive_expect_bytes(shared.full(stage.index),
                                 static_cast<uint32_t>(num_loads * Traits::kKeyTileBytes));
  };

  WorkItem last_item{};
  KeyTiles last_tiles;
  for (int round = 0;; ++round) {
    const int number = WorkItem::number_of(round);
    if (number >= a.num_items) {
      break;
    }
    const WorkItem item(a, number, Traits::kWarpgroups, Traits::kKeyTile);
    const KeyTiles tiles = tiles_of<Traits>(a, item);

    for (int w = 0; w < Traits::kWarpgroups; ++w) {
      const Unit unit(a, item, w);
      const uint32_t full = shared.q_full(buffer.index, w);
      mbarrier_wait(shared.q_empty(buffer.index, w), buffer.phase ^ 1U);
      mbarrier_arrive_expect_bytes(full, Traits::kUnitBytes);
      load_tile<Traits>(shared.query(buffer.index, w),
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

// ---- The consumers: one warpgroup, one unit at a time.

template <class Traits>
class ForwardConsumer {
 public:
  __device__ __forceinline__ ForwardConsumer(const ForwardArguments& arguments,
                                             const ForwardShared<Traits>& shared,
                                             int warpgroup,
                                             int thread)
      : a_(arguments),
        shared_(shared),
        warpgroup_(warpgroup),
        is_first_thread_(thread == 0),
        warp_(warp_uniform(thread / kWarpSize)),
        q_descriptor_(matrix_descriptor(shared.query(0, warpgroup))),
        k_descriptor_(matrix_descriptor(shared.keys(0))),
        v_descriptor_(matrix_descriptor(shared.values(0), Traits::kKeyBoxBytes)),
        softmax_(arguments.scale_log2) {}

  /// Runs through this block's items as one stream of steps: a step issues the score product of a
  /// tile and the output product of the tile before, also across the border of two items.
  __device__ __forceinline__ void run() {
    if (warpgroup_ == 0) {
      pass_turn_to(0);
    }
    for (int round = 0;; ++round) {
      const int number = WorkItem::number_of(round);
      const bool ends = number >= a_.num_items;
      const WorkItem item(a_, ends ? 0 : number, Traits::kWarpgroups, Traits::kKeyTile);
      const Unit unit(a_, item, warpgroup_);
      const KeyTiles tiles = tiles_of<Traits>(a_, item);

      // Tiles above this unit's diagonal belong to other warpgroups of the block.
      int tile = tiles.num_current - 1 - unit.first_row / Traits::kKeyTile;
      if (ends || tile > 0) {
        finish_last_unit();
        if (ends) {
          break;
        }
        for (int skipped = 1; skipped < tile; ++skipped) {
          await_stage();
          await_turn();
          pass_turn();
          release_stage();
        }
      }
      begin_unit(item, unit);
      for (++tile; tile < tiles.num; ++tile) {
        // Only the end of the memory needs a mask.
        const int first_row = tiles.first_row(tile, Traits::kKeyTile);
        attend(tiles.in_current(tile) ? Traits::kKeyTile : a_.num_memory - first_row);
        free_last_queries();
      }
      free_last_queries();
      buffer_.advance();
    }
    if (is_first_thread_) {
      bulk_wait_group<0>();
    }
  }

 private:
  static constexpr int kScores = Traits::kKeyTile / 2;   // registers of a [64, kKeyTile] fragment
  static constexpr int kOutputs = Traits::kHeadDim / 2;  // registers of a [64, E] fragment
  using ScoreProduct = Wgmma<Traits::kKeyTile>;
  using OutputProduct = Wgmma<Traits::kHeadDim>;

  /// Where a finished output goes.
  struct Destination {
    int cell;
    int batch;
    int head;
    int first_row;
    bool exists;
  };

  // The first step of a unit: its diagonal tile, and the last output product of the unit before. If
  // that one has been finished already, the product is of no use and its result is dropped: the
  // assembler keeps products in flight only where no branch skips them.
  __device__ __forceinline__ void begin_unit(const WorkItem& item, const Unit& unit) {
    mbarrier_wait(shared_.q_full(buffer_.index, warpgroup_), buffer_.phase);
    await_stage();
    await_turn();
    issue_score_product();
    issue_output_product();
    pass_turn();
    wgmma_wait<1>();
    pin_registers(scores_);

    float inverse[2];
    if (unfinished_) {
      finish_sums(inverse);
    }
    softmax_.restart();
    const int lane = lane_id();
    const int diagonal = unit.first_row % Traits::kKeyTile + 16 * warp_ + lane / 4 + 1;
    const int limit[2] = {diagonal, diagonal + 8};
    hide_columns_from(scores_, limit, lane);
    float factor[2];
    softmax_.update_max(scores_, factor);
    softmax_.exponentiate(scores_);

    if (unfinished_) {  // for the two waits see attend()
      wgmma_wait<0>();
      pin_registers(output_);
      store_output(inverse);
    } else {
      wgmma_wait<0>();
      pin_registers(output_);
    }
    release_stage();
    round_probabilities();
    accumulate_ = false;
    unfinished_ = true;
    destination_ = {item.cell, item.batch, unit.head, unit.first_row, unit.exists};
  }

  // A further step: the scores of a tile whose first `num_visible` keys exist, and the output
  // product of the tile before. The exponentials are computed beside the latter.
  __device__ __forceinline__ void attend(int num_visible) {
    await_stage();
    await_turn();
    issue_score_product();
    issue_output_product();
    pass_turn();
    wgmma_wait<1>();
    pin_registers(scores_);
    if (num_visible < Traits::kKeyTile) {
      const int limit[2] = {num_visible, num_visible};
      hide_columns_from(scores_, limit, lane_id());
    }
    float factor[2] = {1.0F, 1.0F};
    const bool rescale = softmax_.update_max(scores_, factor);
    softmax_.exponentiate(scores_);

    // The wait stands in both branches on purpose: the assembler moves a wait above arithmetic of
    // the same basic block, and the exponentials would no longer run beside the output product.
    if (rescale) {
      wgmma_wait<0>();
      pin_registers(output_);
#pragma unroll
      for (int i = 0; i < kOutputs; ++i) {
        output_[i] *= factor[i / 2 % 2];
      }
    } else {
      wgmma_wait<0>();
      pin_registers(output_);
    }
    release_stage();
    round_probabilities();
  }

  // The last output product of a unit on its own, where no score product goes with it.
  __device__ __forceinline__ void finish_last_unit() {
    await_stage();
    await_turn();
    if (unfinished_) {
      issue_output_product();
      pass_turn();
      float inverse[2];
      finish_sums(inverse);
      wgmma_wait<0>();
      pin_registers(output_);
      store_output(inverse);
      unfinished_ = false;
    } else {
      pass_turn();
    }
    release_stage();
  }

  // A stage holds the keys of one tile and the values of the tile before.
  __device__ __forceinline__ void await_stage() const {
    mbarrier_wait(shared_.full(stage_.index), stage_.phase);
  }

  // Every warp has its own arrival, so that the stage is free only when all have finished.
  __device__ __forceinline__ void release_stage() {
    __syncwarp();
    if (elect_one()) {
      mbarrier_arrive(shared_.empty(stage_.index));
    }
    stage_.advance();
  }

  // Turns: barrier 1 + w opens when warpgroup w may issue its products. In the meantime the others
  // compute exponentials.
  __device__ __forceinline__ void await_turn() const {
    named_barrier_sync(kTurnBarrier + warpgroup_, 2 * kWarpgroupSize);
  }
  __device__ __forceinline__ void pass_turn() const {
    pass_turn_to(warpgroup_ + 1 == Traits::kWarpgroups ? 0 : warpgroup_ + 1);
  }
  __device__ __forceinline__ void pass_turn_to(int warpgroup) const {
    named_barrier_arrive(kTurnBarrier + warpgroup, 2 * kWarpgroupSize);
  }

  // scores = Q K^T with the keys of the stage, as one committed group.
  __device__ __forceinline__ void issue_score_product() {
    const uint64_t queries = q_descriptor_ +
        static_cast<uint32_t>(buffer_.index) *
            uint64_t{Traits::kWarpgroups * Traits::kUnitBytes / 16};
    const uint64_t keys = k_descriptor_ + stage_step();
    pin_registers(scores_);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Traits::kHeadDim / 16; ++step) {
      const int box = step / 4;
      const int inside = step % 4 * 2;
      ScoreProduct::template shared_shared<Major::kK, Major::kK>(
          scores_,
          queries + static_cast<uint64_t>(box * Traits::kQueryBoxBytes / 16 + inside),
          keys + static_cast<uint64_t>(box * Traits::kKeyBoxBytes / 16 + inside),
          step > 0);
    }
    wgmma_commit();
  }

  // output (+)= P V with the values of the stage, as one committed group.
  __device__ __forceinline__ void issue_output_product() {
    const uint64_t values = v_descriptor_ + stage_step();
    pin_registers(output_);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Traits::kKeyTile / 16; ++step) {
      OutputProduct::template register_shared<Major::kMN>(output_,
                                                          probabilities_[4 * step],
                                                          probabilities_[4 * step + 1],
                                                          probabilities_[4 * step + 2],
                                                          probabilities_[4 * step + 3],
                                                          values + static_cast<uint64_t>(128 * step),
                                                          step > 0 || accumulate_);
    }
    wgmma_commit();
    accumulate_ = true;
  }

  __device__ __forceinline__ uint64_t stage_step() const {
    return static_cast<uint32_t>(stage_.index) * uint64_t{Traits::kStageBytes / 16};
  }

  __device__ __forceinline__ void round_probabilities() {
#pragma unroll
    for (int i = 0; i < kScores / 2; ++i) {
      probabilities_[i] = pack_bf16(scores_[2 * i], scores_[2 * i + 1]);
    }
  }

  // Completes the sums of the unit at `destination_` and writes its log-sum-exp.
  __device__ __forceinline__ void finish_sums(float (&inverse)[2]) {
    float lse[2];
    softmax_.finish(inverse, lse);
    float* rows = a_.lse + destination_.cell * a_.lse_cell_stride +
        destination_.batch * a_.lse_batch_stride + destination_.head * a_.lse_head_stride;
    const int lane = lane_id();
    const int row = destination_.first_row + 16 * warp_ + lane / 4;
    if (destination_.exists && lane % 4 == 0) {
      if (row < a_.num_queries) {
        rows[row] = lse[0];
      }
      if (row + 8 < a_.num_queries) {
        rows[row + 8] = lse[1];
      }
    }
  }

  // Writes the output of the unit before through the shared memory of its own queries: the first barrier says that every warp has finished reading them. The copy
  // engine leaves out rows beyond the last query.
  __device__ __forceinline__ void store_output(const float (&inverse)[2]) {
    const int barrier = kStoreBarrier + warpgroup_;
    const uint32_t tile = shared_.query(1 - buffer_.index, warpgroup_);
    const int lane = lane_id();
    const auto row = static_cast<uint32_t>(16 * warp_ + lane % 16);
    const auto half = static_cast<uint32_t>(lane / 16);
    named_barrier_sync(barrier, kWarpgroupSize);
#pragma unroll
    for (int step = 0; step < Traits::kHeadDim / 16; ++step) {
      const float* o = &output_[8 * step];
      const uint32_t box = tile + static_cast<uint32_t>(step / 4 * Traits::kQueryBoxBytes);
      store_matrix_x4(box + swizzle128_offset(row, static_cast<uint32_t>(2 * (step % 4)) + half),
                      pack_bf16(o[0] * inverse[0], o[1] * inverse[0]),
                      pack_bf16(o[2] * inverse[1], o[3] * inverse[1]),
                      pack_bf16(o[4] * inverse[0], o[5] * inverse[0]),
                      pack_bf16(o[6] * inverse[1], o[7] * inverse[1]));
    }
    fence_proxy_async();
    named_barrier_sync(barrier, kWarpgroupSize);
    if (is_first_thread_ && destination_.exists) {
#pragma unroll
      for (int box = 0; box < Traits::kBoxesPerRow; ++box) {
        tma_store(&a_.out.map,
                  tile + static_cast<uint32_t>(box * Traits::kQueryBoxBytes),
                  64 * box,
                  destination_.first_row,
                  destination_.head,
                  destination_.batch,
                  map_cell(a_.out, destination_.cell));
      }
      bulk_commit_group();
    }
    buffer_to_free_ = true;
  }

  // Hands the buffer of the unit before this one back once its output has left.
  __device__ __forceinline__ void free_last_queries() {
    if (buffer_to_free_) {
      buffer_to_free_ = false;
      if (is_first_thread_) {
        bulk_wait_group_read<0>();
        mbarrier_arrive(shared_.q_empty(1 - buffer_.index, warpgroup_));
      }
    }
  }

  static constexpr int kTurnBarrier = 1;
  static constexpr int kStoreBarrier = kTurnBarrier + Traits::kWarpgroups;

  const ForwardArguments& a_;
  ForwardShared<Traits> shared_;
  int warpgroup_;
  bool is_first_thread_;  // of the warpgroup
  int warp_;  // in the warpgroup
  uint64_t q_descriptor_;  // of buffer 0
  uint64_t k_descriptor_;  // of stage 0
  uint64_t v_descriptor_;  // of stage 0

  float scores_[kScores] = {};
  float output_[kOutputs] = {};
  uint32_t probabilities_[kScores / 2] = {};
  OnlineSoftmax softmax_;
  RingPosition<Traits::kStages> stage_;
  RingPosition<Traits::kQueryBuffers> buffer_;  // of this unit's queries
  bool accumulate_ = false;      // whether `output_` already holds a part of the unit's output
  bool unfinished_ = false;      // whether the unit at `destination_` lacks its last product
  bool buffer_to_free_ = false;  // whether the last buffer still belongs to its output
  Destination destination_;
};

template <class Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    forward_kernel(const __grid_constant__ ForwardArguments arguments) {
  extern __shared__ char raw_shared[];
  const ForwardShared<Traits> shared(raw_shared);

  const int warpgroup = warp_uniform(static_cast<int>(threadIdx.x) / kWarpgroupSize);
  if (threadIdx.x == 0) {
    for (const TileMap* map : {&arguments.q, &arguments.k_cur, &arguments.v_cur}) {
      prefetch_tensor_map(&map->map);
    }
    shared.init_barriers();
    fence_mbarrier_init();
  }
  __syncthreads();

  if (warpgroup == 0) {
    release_registers<Traits::kProducerRegisters>();
    if (threadIdx.x == 0) {
      produce<Traits>(arguments, shared);
    }
  } else {
    claim_registers<Traits::kConsumerRegisters>();
    ForwardConsumer<Traits> consumer(arguments,
                                     shared,
                                     warpgroup - 1,
                                     static_cast<int>(threadIdx.x) % kWarpgroupSize);
    consumer.run();
  }
}

}  // namespace fcc::kernels
