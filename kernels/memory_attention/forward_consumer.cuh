#pragma once

#include <cstdint>

#include "common/hopper.cuh"
#include "common/wgmma.cuh"
#include "memory_attention/forward_items.cuh"
#include "memory_attention/forward_shared.cuh"
#include "memory_attention/mask.cuh"
#include "memory_attention/softmax.cuh"

/// The consumers of the forward kernel: products, softmax, output.
namespace fcc::kernels {

/// A warpgroup that works through its units, one after the other.
template <class Traits>
class ForwardConsumer {
 public:
  __device__ __forceinline__ ForwardConsumer(
      const ForwardArguments& arguments,
      const ForwardShared<Traits>& shared,
      int warpgroup,
      int thread)
      : a_(arguments),
        shared_(shared),
        warpgroup_(warpgroup),
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
      if (number >= a_.num_items) {
        break;
      }
      const WorkItem item(a_, number, Traits::kKeyTile);
      const Unit unit = Unit::of<Traits>(a_, item, warpgroup_);
      const KeyTiles tiles = tiles_of<Traits>(a_, item);

      // Tiles above this unit's diagonal belong to other warpgroups of the block.
      int tile = tiles.num_current - 1 - unit.first_row / Traits::kKeyTile;
      if (round > 0 && tile == 0) {
        begin_unit<true>(item, unit);
      } else {
        if (round > 0) {
          finish_last_unit();
        }
        for (int skipped = round > 0 ? 1 : 0; skipped < tile; ++skipped) {
          await_stage();
          await_turn();
          pass_turn();
          release_stage();
        }
        begin_unit<false>(item, unit);
      }
      for (++tile; tile < tiles.num; ++tile) {
        // Only the end of the memory needs a mask.
        const int first_row = tiles.first_row(tile, Traits::kKeyTile);
        attend(tiles.in_current(tile) ? Traits::kKeyTile : a_.num_memory - first_row);
        free_last_queries();
      }
      free_last_queries();
      buffer_.advance();
    }
    finish_last_unit();
    if (is_first_thread()) {
      bulk_wait_group_read<0>(); // shared memory must outlive the copies
    }
  }

 private:
  static constexpr int kScores = Traits::kKeyTile / 2;  // registers of a [64, kKeyTile] fragment
  static constexpr int kOutputs = Traits::kHeadDim / 2; // registers of a [64, E] fragment
  using ScoreProduct = Wgmma<Traits::kKeyTile>;
  using OutputProduct = Wgmma<Traits::kHeadDim>;

  /// Where an output goes.
  struct Destination {
    int cell;
    int batch;
    int head;
    int first_row;
    bool exists;
  };

  // The first step of a unit: its diagonal tile, and the last output product of the unit before
  // unless that one has been finished already.
  template <bool kFinishLastUnit>
  __device__ __forceinline__ void begin_unit(const WorkItem& item, const Unit& unit) {
    mbarrier_wait(shared_.q_full(buffer_.index, warpgroup_), buffer_.phase);
    await_stage();
    await_turn();
    issue_score_product();
    if constexpr (kFinishLastUnit) {
      issue_output_product();
    }
    pass_turn();
    wgmma_wait<kFinishLastUnit ? 1 : 0>();
    pin_registers(scores_);

    float inverse[2];
    if constexpr (kFinishLastUnit) {
      finish_sums(inverse);
    }
    softmax_.restart();
    const int lane = lane_id();
    const int diagonal = unit.first_row % Traits::kKeyTile + 16 * warp_ + lane / 4 + 1;
    const int limit[2] = {diagonal, diagonal + 8};
    hide_columns_from(scores_, limit, lane);
    float factor[2];
    const bool rescale = softmax_.update_max(scores_, factor);
    softmax_.exponentiate(scores_);

    if constexpr (kFinishLastUnit) {
      if (rescale) { // always true; for the two waits see attend()
        wgmma_wait<0>();
        pin_registers(output_);
      } else {
        wgmma_wait<0>();
        pin_registers(output_);
      }
      store_output(inverse);
    }
    release_stage();
    round_probabilities();
    accumulate_ = false;
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
    issue_output_product();
    pass_turn();
    float inverse[2];
    finish_sums(inverse);
    wgmma_wait<0>();
    pin_registers(output_);
    store_output(inverse);
    release_stage();
  }

  // The one thread of the warpgroup that commands the copy engine, and waits for it.
  __device__ __forceinline__ bool is_first_thread() const {
    return warp_ == 0 && lane_id() == 0;
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
    const uint64_t queries =
        q_descriptor_ + static_cast<uint32_t>(buffer_.index) *
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
      OutputProduct::template register_shared<Major::kMN>(
          output_,
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

  // Writes the output of the unit before through the shared memory of its own queries: the first
  // barrier says that every warp has finished reading them. The copy engine leaves out rows beyond
  // the last query.
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
      store_matrix_x4(
          box + swizzle128_offset(row, static_cast<uint32_t>(2 * (step % 4)) + half),
          pack_bf16(o[0] * inverse[0], o[1] * inverse[0]),
          pack_bf16(o[2] * inverse[1], o[3] * inverse[1]),
          pack_bf16(o[4] * inverse[0], o[5] * inverse[0]),
          pack_bf16(o[6] * inverse[1], o[7] * inverse[1]));
    }
    fence_proxy_async();
    named_barrier_sync(barrier, kWarpgroupSize);
    if (is_first_thread() && destination_.exists) {
#pragma unroll
      for (int box = 0; box < Traits::kBoxesPerRow; ++box) {
        tma_store(
            &a_.out.map,
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
      if (is_first_thread()) {
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
  int warp_;              // in the warpgroup
  uint64_t q_descriptor_; // of buffer 0
  uint64_t k_descriptor_; // of stage 0
  uint64_t v_descriptor_; // of stage 0

  float scores_[kScores] = {};
  float output_[kOutputs] = {};
  uint32_t probabilities_[kScores / 2] = {};
  OnlineSoftmax softmax_;
  RingPosition<Traits::kStages> stage_;
  RingPosition<Traits::kQueryBuffers> buffer_; // of this unit's queries
  bool accumulate_ = false;     // whether `output_` already holds a part of the unit's output
  bool buffer_to_free_ = false; // whether the last buffer still belongs to its output
  Destination destination_;     // of the unit whose last product is to come
};

} // namespace fcc::kernels
