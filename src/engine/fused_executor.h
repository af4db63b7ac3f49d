#pragma once

#include <cstdint>
#include <memory>

#include "engine/chunk.h"
#include "fcc/engine/engine_plan.h"
#include "fcc/engine/executor.h"
#include "fcc/engine/stage_link.h"

namespace fcc {

class ChunkCache;

/// Hand-written forward and backward over diagonals of the hidden grid, in chunks of segments.
///
/// A training pass runs the prefix and every chunk but the last forward only, keeping the memory
/// between chunks; then, from the last chunk to the first, it recomputes the chunk's activations
/// (not for the last), runs the head, and goes back through the chunk with the gradient of its
/// outgoing memory. With one chunk nothing is computed twice.
///
/// Serves `condensation` with every option, and `llama` as one segment as long as the sequence;
/// what it cannot run `plan_engine` refuses. Documents that reset memory inside a row need
/// `first_memory: absent` (`Error` when such a batch arrives).
class FusedExecutor : public Executor {
 public:
  /// `parameters` and `link` (of a stage: to the others) outlive the executor.
  FusedExecutor(FlatParameters& parameters, const EnginePlan& plan, StageLink* link = nullptr);
  ~FusedExecutor() override;

  void clear_gradients() override;
  using Executor::train;
  PassResult train(const MicroBatch& batch, const PassHooks& hooks) override;
  PassResult evaluate(const MicroBatch& batch, MemoryState* state) override;

 private:
  struct Pass;
  Pass begin(const MicroBatch& batch, const MemoryState* state);
  const RotaryTables& rotary_tables(std::int64_t length, bool with_memory);
  at::Tensor incoming_memory(const Pass& pass, const MemoryState* state) const;
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
  EnginePlan plan_;
  std::shared_ptr<const Attention> attention_;
  ModelWeights weights_, grads_;
  /// Of the matrices that products write: after `clear_gradients` the first one overwrites.
  GradInput weight_mode_ = GradInput::kAccumulate;
  RotaryTables rotary_; ///< of the length that came last
  bool rotary_with_memory_ = false;
  CudaGraphPool graph_pool_;
  std::unique_ptr<ChunkCache> chunks_;
};

} // namespace fcc
