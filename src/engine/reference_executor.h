#pragma once

#include <ATen/core/Tensor.h>

#include "fcc/engine/engine_plan.h"
#include "fcc/engine/executor.h"
#include "model/reference_stack.h"

namespace fcc {

/// `execution: reference`: plain ATen and autograd, one cell after another.
///
/// Its leaves are views of the master buffer, layer by layer, whose gradients are views of the flat
/// gradient: autograd adds into it in place, in the master's dtype. The head and the embedding are
/// outside of autograd: their gradients are added by hand, the head's first.
class ReferenceExecutor : public Executor {
 public:
  ReferenceExecutor(FlatParameters& parameters, const EnginePlan& plan);

  void clear_gradients() override;
  using Executor::train;
  PassResult train(const MicroBatch& batch, const PassHooks& hooks) override;
  PassResult evaluate(const MicroBatch& batch, MemoryState* state) override;

 private:
  void
  make_leaf(ReferenceWeight& weight, const ReferenceWeight& master, const ReferenceWeight& grad);
  bool is_frozen(const at::Tensor& view) const;
  at::Tensor embed(const at::Tensor& ids) const;
  MemoryState run_prefix(const MicroBatch& batch, std::int64_t num_tokens);
  ReferenceOutput run_stretch(
      const MicroBatch& batch,
      std::int64_t start,
      std::int64_t length,
      const MemoryState& state);
  ReferenceOptions options_for(const MicroBatch& batch, std::int64_t start, std::int64_t length);

  FlatParameters& parameters_;
  std::optional<std::int64_t> bptt_segments_;
  ModelWeights compute_, grad_; ///< views of the flat buffers
  ReferenceWeights values_;     ///< without gradient
  ReferenceWeights leaves_;
  ReferenceStack stack_;
};

} // namespace fcc
