#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/run_config.h"
#include "fcc/model/parameters.h"
#include "fcc/optim/flat_shares.h"

namespace fcc {

/// What a state is called and which weights it is kept for.
struct StateLayout {
  std::string name; ///< `exp_avg`: what its tensors are called by in files
  /// Of the flat buffer, in order. Where the states are shared out, they may cut weights.
  std::vector<FlatRange> ranges;

  std::int64_t numel() const; ///< elements of all ranges
};

/// A state of an optimizer: one value for each element of its ranges.
struct OptimizerState {
  StateLayout layout;
  at::Tensor values; ///< [layout.numel()], dtype of the master weights; range after range

  /// The part of range `index`, [end - first].
  at::Tensor range(std::size_t index) const;
};

/// What an optimizer keeps and needs, known without making it.
struct OptimizerPlan {
  std::vector<StateLayout> states;     ///< of this rank
  std::vector<StateLayout> whole = {}; ///< of all ranks together, state by state
  std::int64_t scratch_bytes = 0;      ///< the most that the temporaries of a step take
};

/// Trains the weights of a flat buffer. All that an optimizer remembers from step to step is its
/// named states and the number of its updates: a copy with the same ones goes on bit for bit.
///
/// Frozen weights, and the gaps between tensors, are left alone.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update: reads `parameters.grad()` times `grad_scale` (clipping), updates
  /// `parameters.master()`, then `parameters.compute()`. Gradients stay as they are.
  void step(double lr, double grad_scale);

  /// In the order of the plan. The tensors are those that `step` updates.
  const std::vector<OptimizerState>& states() const {
    return states_;
  }
  /// The same states as one process would have them, which files hold.
  const std::vector<StateLayout>& whole_states() const {
    return whole_;
  }
  std::int64_t num_updates() const {
    return num_updates_;
  }
  /// For an optimizer whose states were restored.
  void set_num_updates(std::int64_t num_updates) {
    num_updates_ = num_updates;
  }

 protected:
  /// States start at zero. `parameters` outlives the optimizer.
  Optimizer(FlatParameters& parameters, const OptimizerPlan& plan);

  FlatParameters& parameters() {
    return parameters_;
  }

 private:
  /// The update number `num_updates()`, which counts from 1.
  virtual void update(double lr, double grad_scale) = 0;

  FlatParameters& parameters_;
  std::vector<OptimizerState> states_;
  std::vector<StateLayout> whole_;
  std::int64_t num_updates_ = 0;
};

/// The optimizer that `config.kind` names, of rank `rank` of `num_ranks`: it updates the rank's
/// share of the trained elements and keeps states for that alone. `parameters` outlives it. Errors:
/// `ConfigError` for a kind whose updates cannot be shared out between ranks.
std::unique_ptr<Optimizer> make_optimizer(
    const OptimSection& config,
    FlatParameters& parameters,
    std::int64_t rank = 0,
    std::int64_t num_ranks = 1);

/// What `make_optimizer` would keep for a model of this layout (`FlatParameters::layout` will do)
/// that computes in `dtype` on a device of `type`.
OptimizerPlan plan_optimizer(
    const OptimSection& config,
    const FlatParameters& layout,
    ComputeDType dtype,
    at::DeviceType type,
    std::int64_t rank = 0,
    std::int64_t num_ranks = 1);

/// The parts of `layout` that lie in `ranges` (in order).
StateLayout shared_out(const StateLayout& layout, const std::vector<FlatRange>& ranges);

/// Copies a rank's share out of a whole state, or into it. Any devices.
void take_share(const OptimizerState& whole, const OptimizerState& share);
void put_share(const OptimizerState& share, const OptimizerState& whole);

/// Views of a whole state under the Hugging Face names of the weights that it is kept for, in the
/// order of `FlatParameters::named`.
std::vector<NamedTensor> named_state(const FlatParameters& layout, const OptimizerState& state);

} // namespace fcc
