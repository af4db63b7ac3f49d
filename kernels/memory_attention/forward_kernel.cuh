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

  __device__ __forceinline__ int num_current_tiles(int key_tile) const {
    return first_row / key_tile + 1;
  }
};

/// Where a role stands in a ring of `kDepth` stages.
template <int kDepth>
struct RingPosition {
  int stage = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ void advance() {
    ++stage;
    if (stage == kDepth) {
      stage = 0;
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

  // Q and staged output of a warpgroup's unit; keys and values of a stage.
  __device__ __forceinline__ uint32_t query(int warpgroup) const {
    return at(Traits::kQueryOffset + warpgroup * Traits::kUnitBytes);
  }
  __device__ __forceinline__ uint32_t out(int warpgroup) const {
    return at(Traits::kOutOffset + warpgroup * Traits::kUnitBytes);
  }
  __device__ __forceinline__ uint32_t keys(int stage) const {
    return at(Traits::kStageOffset + stage * Traits::kStageBytes);
  }
  __device__ __forceinline__ uint32_t values(int stage) const {
    return at(Traits::kStageOffset + stage * Traits::kStageBytes + Traits::kKeyTileBytes);
  }

  // Barriers: "full" is completed by the copy engine, "empty" by the warps that have read.
  __device__ __forceinline__ uint32_t q_full(int warpgroup) const {
    return barrier(warpgroup);
  }
  __device__ __forceinline__ uint32_t q_empty(int warpgroup) const {
    return barrier(Traits::kWarpgroups + warpgroup);
  }
  __device__ __forceinline__ uint32_t full(int stage) const {
    return barrier(2 * Traits::kWarpgroups + stage);
  }
  __device__ __forceinline__ uint32_t empty(int stage) const {
    return barrier(2 * Traits::kWarpgroups + Traits::kStages + stage);
  }

  __device__ __forceinline__ void init_barriers() const {
    constexpr int kWarpsPerWarpgroup = 4;
    for (int w = 0; w < Traits::kWarpgroups; ++w) {
      mbarrier_init(q_full(w), 1);
      mbarrier_init(q_empty(w), kWarpsPerWarpgroup);
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

template <class Traits>
__device__ __forceinline__ void produce(const ForwardArguments& a,
                                        const ForwardShared<Traits>& shared) {
  RingPosition<Traits::kStages> position;
  for (int round = 0;; ++round) {
    const int number = WorkItem::number_of(round);
    if (number >= a.num_items) {
      return;
    }
    const WorkItem item(a, number, Traits::kWarpgroups, Traits::kKeyTile);
    const Unit last_unit(a, item, Traits::kWarpgroups - 1);
    const int num_current_tiles = last_unit.num_current_tiles(Traits::kKeyTile);
    const int num_tiles = num_current_tiles + item.num_memory_tiles;

    for (int w = 0; w < Traits::kWarpgroups; ++w) {
      const Unit unit(a, item, w);
      mbarrier_wait(shared.q_empty(w), static_cast<uint32_t>(round + 1) % 2);
      mbarrier_arrive_expect_bytes(shared.q_full(w), Traits::kUnitBytes);
      load_tile<Traits>(shared.query(w),
                        Traits::kQueryBoxBytes,
                        a.q,
                        shared.q_full(w),
                        unit.first_row,
                        unit.head,
                        item);
    }

    // Step t brings what a warpgroup multiplies next to each other: the keys of tile t and the
    // values of tile t - 1.
    for (int step = 0; step <= num_tiles; ++step) {
      const uint32_t full = shared.full(position.stage);
      mbarrier_wait(shared.empty(position.stage), position.phase ^ 1U);
      const int num_loads = step == 0 || step == num_tiles ? 1 : 2;
      mbarrier_arrive_expect_bytes(full, static_cast<uint32_t>(num_loads * Traits::kKeyTileBytes));
      if (step < num_tiles) {
        const bool current = step < num_current_tiles;
        load_tile<Traits>(shared.keys(position.stage),
                          Traits::kKeyBoxBytes,
                          current ? a.k_cur : a.k_mem,
                          full,
                          ((current ? num_current_tiles : num_tiles) - 1 - step) * Traits::kKeyTile,
                          item.kv_head,
                          item);
      }
      if (step > 0) {
        const int tile = step - 1;
        const bool current = tile < num_current_tiles;
        load_tile<Traits>(shared.values(position.stage),
                          Traits::kKeyBoxBytes,
                          current ? a.v_cur : a.v_mem,
                          full,
                          ((current ? num_current_tiles : num_tiles) - 1 - tile) * Traits::kKeyTile,
                          item.kv_head,
                          item);
      }
      position.advance();
    }
  }
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
        thread_(thread),
        warp_(thread / kWarpSize),
        lane_(thread % kWarpSize),
        q_descriptor_(matrix_descriptor(shared.query(warpgroup))),
        k_descriptor_(matrix_descriptor(shared.keys(0))),
        v_descriptor_(matrix_descriptor(shared.values(0), Traits::kKeyBoxBytes)) {}

  __device__ __forceinline__ void run() {
    if (Traits::kTakeTurns && warpgroup_ == 0) {
      pass_turn_to(0);
    }
    for (int round = 0;; ++round) {
      const int number = WorkItem::number_of(round);
      if (number >= a_.num_items) {
        break;
      }
      attend(WorkItem(a_, number, Traits::kWarpgroups, Traits::kKeyTile));
    }
    if (store_pending_) {
      bulk_wait_group<0>();
    }
  }

 private:
  static constexpr int kScores = Traits::kKeyTile / 2;   // registers of a [64, kKeyTile] fragment
  static constexpr int kOutputs = Traits::kHeadDim / 2;  // registers of a [64, E] fragment
  static constexpr int kQueryRegisters =
      Traits::kQueryInRegisters ? Traits::kHeadDim / 4 : 1;
  using ScoreProduct = Wgmma<Traits::kKeyTile>;
  using OutputProduct = Wgmma<Traits::kHeadDim>;

  __device__ __forceinline__ void attend(const WorkItem& item) {
    const Unit unit(a_, item, warpgroup_);
    const Unit last_unit(a_, item, Traits::kWarpgroups - 1);
    const int num_current_tiles = last_unit.num_current_tiles(Traits::kKeyTile);
    const int num_tiles = num_current_tiles + item.num_memory_tiles;
    const int first_tile = num_current_tiles - unit.num_current_tiles(Traits::kKeyTile);

    float scores[kScores];
    float output[kOutputs];
    uint32_t probabilities[kScores / 2];
    OnlineSoftmax softmax(a_.scale_log2);

    mbarrier_wait(shared_.q_full(warpgroup_), q_phase_);
    q_phase_ ^= 1U;
    if constexpr (Traits::kQueryInRegisters) {
      load_query();
      release(shared_.q_empty(warpgroup_));
    }

    // Tiles above this unit's diagonal belong to other warpgroups of the block.
    for (int tile = 0; tile < first_tile; ++tile) {
      await_turn();
      pass_turn();
      await_stage();
      release_stage();
    }

    // The diagonal tile.
    await_stage();
    await_turn();
    issue_score_product(scores);
    pass_turn();
    wgmma_wait<0>();
    pin_registers(scores);
    release_stage();
    {
      const int diagonal = unit.first_row % Traits::kKeyTile + 16 * warp_ + lane_ / 4 + 1;
      const int limit[2] = {diagonal, diagonal + 8};
      hide_columns_from(scores, limit, lane_);
    }
    float factor[2] = {1.0F, 1.0F};
    softmax.update_max(scores, factor);
    softmax.template exponentiate<0>(scores);
    round_probabilities(scores, probabilities);

    // Score products run one tile ahead of output products, so that the exponentials of a tile
    // are computed beside a product.
    bool accumulate = false;
    for (int tile = first_tile + 1; tile < num_tiles; ++tile) {
      await_stage();
      await_turn();
      issue_score_product(scores);
      issue_output_product(output, probabilities, accumulate);
      accumulate = true;
      pass_turn();

      wgmma_wait<1>();
      pin_registers(scores);
      if (tile == num_current_tiles) {  // the end of the memory
        const int rest = a_.num_memory - (item.num_memory_tiles - 1) * Traits::kKeyTile;
        if (rest < Traits::kKeyTile) {
          const int limit[2] = {rest, rest};
          hide_columns_from(scores, limit, lane_);
        }
      }
      const bool rescale = softmax.update_max(scores, factor);
      softmax.template exponentiate<Traits::kEmulateOneIn>(scores);

      // The wait stands in both branches on purpose: the assembler moves a wait above arithmetic of
      // the same basic block, and the exponentials would no longer run beside the output product.
      if (rescale) {
        wgmma_wait<0>();
        pin_registers(output);
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) {
          output[i] *= factor[i / 2 % 2];
        }
      } else {
        wgmma_wait<0>();
        pin_registers(output);
      }
      release_stage();
      round_probabilities(scores, probabilities);
    }
    if constexpr (!Traits::kQueryInRegisters) {
      release(shared_.q_empty(warpgroup_));
    }

    await_stage();
    issue_output_product(output, probabilities, accumulate);
    float inverse[2];
    float lse[2];
    softmax.finish(inverse, lse);
    if (unit.exists) {
      store_lse(lse, item, unit);
    }
    wgmma_wait<0>();
    pin_registers(output);
    release_stage();
    if (unit.exists) {
      store_output(output, inverse, item, unit);
    }
  }

  // A stage holds the keys of one tile and the values of the tile before.
  __device__ __forceinline__ void await_stage() const {
    mbarrier_wait(shared_.full(position_.stage), position_.phase);
  }
  __device__ __forceinline__ void release_stage() {
    release(shared_.empty(position_.stage));
    position_.advance();
  }

  // Every warp has its own arrival, so that the stage is free only when all have finished.
  __device__ __forceinline__ void release(uint32_t barrier) const {
    __syncwarp();
    if (lane_ == 0) {
      mbarrier_arrive(barrier);
    }
  }

  // Turns: barrier 1 + w opens when warpgroup w may issue its products.
  __device__ __forceinline__ void await_turn() const {
    if constexpr (Traits::kTakeTurns) {
      named_barrier_sync(kTurnBarrier + warpgroup_, 2 * kWarpgroupSize);
    }
  }
  __device__ __forceinline__ void pass_turn() const {
    if constexpr (Traits::kTakeTurns) {
      pass_turn_to(warpgroup_ + 1 == Traits::kWarpgroups ? 0 : warpgroup_ + 1);
    }
  }
  __device__ __forceinline__ void pass_turn_to(int warpgroup) const {
    named_barrier_arrive(kTurnBarrier + warpgroup, 2 * kWarpgroupSize);
  }

  // A fragments of this warpgroup's query tile: ldmatrix of 16 rows x 16 elements a step.
  __device__ __forceinline__ void load_query() {
    const uint32_t tile = shared_.query(warpgroup_);
    const auto row = static_cast<uint32_t>(16 * warp_ + lane_ % 16);
    const auto half = static_cast<uint32_t>(lane_ / 16);
#pragma unroll
    for (int step = 0; step < Traits::kHeadDim / 16; ++step) {
      const uint32_t box = tile + static_cast<uint32_t>(step / 4 * Traits::kQueryBoxBytes);
      uint32_t fragment[4];
      load_matrix_x4(
          box + swizzle128_offset(row, static_cast<uint32_t>(2 * (step % 4)) + half), fragment);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        query_[4 * step + i] = fragment[i];
      }
    }
  }

  __device__ __forceinline__ uint64_t stage_step() const {
    return static_cast<uint32_t>(position_.stage) * uint64_t{Traits::kStageBytes / 16};
  }

  // scores = Q K^T with the keys of the stage, as one committed group.
  __device__ __forceinline__ void issue_score_product(float (&scores)[kScores]) {
    const uint64_t keys = k_descriptor_ + stage_step();
    pin_registers(scores);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Traits::kHeadDim / 16; ++step) {
      const uint64_t k_step = static_cast<uint64_t>(
          step / 4 * (Traits::kKeyBoxBytes / 16) + step % 4 * 2);
      if constexpr (Traits::kQueryInRegisters) {
        ScoreProduct::template register_shared<Major::kK>(scores,
                                                          query_[4 * step],
                                                          query_[4 * step + 1],
                                                          query_[4 * step + 2],
                                                          query_[4 * step + 3],
                                                          keys + k_step,
                                                          step > 0);
      } else {
        const uint64_t q_step = static_cast<uint64_t>(
            step / 4 * (Traits::kQueryBoxBytes / 16) + step % 4 * 2);
        ScoreProduct::template shared_shared<Major::kK, Major::kK>(
            scores, q_descriptor_ + q_step, keys + k_step, step > 0);
      }
    }
    wgmma_commit();
  }

  // output += P V with the values of the stage, as one committed group.
  __device__ __forceinline__ void issue_output_product(
      float (&output)[kOutputs], const uint32_t (&probabilities)[kScores / 2], bool accumulate) {
    const uint64_t values = v_descriptor_ + stage_step();
    pin_registers(output);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Traits::kKeyTile / 16; ++step) {
      OutputProduct::template register_shared<Major::kMN>(output,
                                                          probabilities[4 * step],
                                                          probabilities[4 * step + 1],
                                                          probabilities[4 * step + 2],
                                                          probabilities[4 * step + 3],
                                                          values + static_cast<uint64_t>(128 * step),
                                                          step > 0 || accumulate);
    }
    wgmma_commit();
  }

  static __device__ __forceinline__ void round_probabilities(
      const float (&scores)[kScores], uint32_t (&probabilities)[kScores / 2]) {
#pragma unroll
    for (int i = 0; i < kScores / 2; ++i) {
      probabilities[i] = pack_bf16(scores[2 * i], scores[2 * i + 1]);
    }
  }

  __device__ __forceinline__ void store_lse(
      const float (&lse)[2], const WorkItem& item, const Unit& unit) const {
    float* rows = a_.lse + item.cell * a_.lse_cell_stride + item.batch * a_.lse_batch_stride +
        unit.head * a_.lse_head_stride;
    const int row = unit.first_row + 16 * warp_ + lane_ / 4;
    if (lane_ % 4 == 0) {
      if (row < a_.num_queries) {
        rows[row] = lse[0];
      }
      if (row + 8 < a_.num_queries) {
        rows[row + 8] = lse[1];
      }
    }
  }

  // Through this warpgroup's staging tile; the copy engine leaves out rows beyond the last query.
  __device__ __forceinline__ void store_output(const float (&output)[kOutputs],
                                               const float (&inverse)[2],
                                               const WorkItem& item,
                                               const Unit& unit) {
    const int barrier = kStoreBarrier + warpgroup_;
    if (store_pending_) {
      bulk_wait_group_read<0>();
    }
    named_barrier_sync(barrier, kWarpgroupSize);

    const uint32_t tile = shared_.out(warpgroup_);
    const auto row = static_cast<uint32_t>(16 * warp_ + lane_ % 16);
    const auto half = static_cast<uint32_t>(lane_ / 16);
#pragma unroll
    for (int step = 0; step < Traits::kHeadDim / 16; ++step) {
      const float* o = &output[8 * step];
      const uint32_t box = tile + static_cast<uint32_t>(step / 4 * Traits::kQueryBoxBytes);
      store_matrix_x4(box + swizzle128_offset(row, static_cast<uint32_t>(2 * (step % 4)) + half),
                      pack_bf16(o[0] * inverse[0], o[1] * inverse[0]),
                      pack_bf16(o[2] * inverse[1], o[3] * inverse[1]),
                      pack_bf16(o[4] * inverse[0], o[5] * inverse[0]),
                      pack_bf16(o[6] * inverse[1], o[7] * inverse[1]));
    }
    fence_proxy_async();
    named_barrier_sync(barrier, kWarpgroupSize);

    if (thread_ == 0) {
#pragma unroll
      for (int box = 0; box < Traits::kBoxesPerRow; ++box) {
        tma_store(&a_.out.map,
                  tile + static_cast<uint32_t>(box * Traits::kQueryBoxBytes),
                  64 * box,
                  unit.first_row,
                  unit.head,
                  item.batch,
                  map_cell(a_.out, item.cell));
      }
      bulk_commit_group();
      store_pending_ = true;
    }
  }

  static constexpr int kTurnBarrier = 1;
  static constexpr int kStoreBarrier = kTurnBarrier + Traits::kWarpgroups;

  const ForwardArguments& a_;
  ForwardShared<Traits> shared_;
  int warpgroup_;
  int thread_;  // in the warpgroup
  int warp_;    // in the warpgroup
  int lane_;
  uint64_t q_descriptor_;
  uint64_t k_descriptor_;  // of stage 0
  uint64_t v_descriptor_;  // of stage 0
  uint32_t query_[kQueryRegisters];
  RingPosition<Traits::kStages> position_;
  uint32_t q_phase_ = 0;
  bool store_pending_ = false;  // of thread 0
};

template <class Traits>
__global__ void __launch_bounds__(Traits::kThreads, Traits::kBlocksPerSm)
    forward_kernel(const __grid_constant__ ForwardArguments arguments) {
  extern __shared__ char raw_shared[];
  const ForwardShared<Traits> shared(raw_shared);

  const int warpgroup = warp_uniform(static_cast<int>(threadIdx.x) / kWarpgroupSize);
  if (threadIdx.x == 0) {
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
