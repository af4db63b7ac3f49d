#pragma once

#include <cstdint>
#include <memory>

#include "fcc/engine/chunk.h"
#include "fcc/engine/executor.h"

namespace fcc {

class ChunkCache;

/// Hand-written forward and backward over diagonals of the hidden grid, in chunks of segments.
///
/// A training pass runs the prefix and every chunk but the last forward only, keeping the memory
/// between chunks; then, from the last chunk to the first, it recomputes the chunk's activations
/// (not for the last), runs the head, and goes back through the chunk with the gradient of its
/// outgoing memory. With one chunk nothing is computed twice.
///
/// Serves `condensation` with every option, and `llama` as one segment as long as the sequence.
/// Refused by name (`ConfigError`): `local_global`, whose recurrence runs through the top of the
/// stack. Documents that reset memory inside a row need `first_memory: absent` (`Error` when such a
/// batch arrives).
class FusedExecutor : public Executor {
 public:
  /// `parameters` and `link` (of a stage: to the others) outlive the executor.
  FusedExecutor(FlatParameters& parameters, const EngineSection& engine, StageLink* link = nullptr);
  ~FusedExecutor() override;

  void clear_gradients() override;
  using Executor::train;
  PassResult train(const MicroBatch& batch, const PassHooks& hooks) override;
  PassResult evaluate(const MicroBatch& batch, MemoryState* state) override;

  /// Rows that one weight product should cover; smaller ones take less memory and more time.
  void set_weight_product_rows(std::int64_t rows) {
    weight_product_rows_ = rows;
  }

 private:
  struct Pass;
  Pass begin(const MicroBatch& batch, const MemoryState* state);
  const RotaryTables& rotary_tables(std::int64_t length, bool with_memory);
  at::Tensor incoming_memory(const Pass& pass, const MemoryState* state) const;
  std::int64_t chunk_segments(const ChunkPlan& plan, std::int64_t num_segments) const;
  Chunk& chunk_of(const Pass& pass, std::int64_t num_segments, Chunk::Keep keep);
  void load(const Pass& pass, std::int64_t first, const at::Tensor& memory, const Chunk& chunk)
      const;
  void run_head(Pass& pass, std::int64_t first, const Chunk& chunk, bool with_gradient);
  void add_input_gradients(const Pass& pass, std::int64_t first, const Chunk& chunk);
  bool embeds() const {
    return link_ == nullptr || link_->is_first();
  }
  bool has_head() const {
    return link_ == nullptr || link_->is_last();
  }
  SegmentFlow flow_up(const Chunk& chunk) const;
  SegmentFlow flow_down(const Chunk& chunk) const;
  void finish_sends() const;

  void add_first_memory_gradient(const Pass& pass, const at::Tensor& grad_memory);

  FlatParameters& parameters_;
  StageLink* link_;
  MemoryPolicy policy_;
  EngineSection engine_;
  std::shared_ptr<const Attention> attention_;
  ModelWeights weights_, grads_;
  std::int64_t weight_product_rows_ = ChunkPlan{}.weight_product_rows;
  /// Of the matrices that products write: after `clear_gradients` the first one overwrites.
  GradInput weight_mode_ = GradInput::kAccumulate;
  RotaryTables rotary_; ///< of the length that came last
  bool rotary_with_memory_ = false;
  CudaGraphPool graph_pool_;
  std::unique_ptr<ChunkCache> chunks_;
};

} // namespace fcc
