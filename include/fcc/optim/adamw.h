#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "fcc/config/run_config.h"
#include "fcc/model/parameters.h"

namespace fcc {

/// The numbers of one AdamW update.
struct AdamWStep {
  double lr = 0;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0;
  double grad_scale = 1;   ///< every gradient is multiplied by it first (clipping)
  std::int64_t update = 1; ///< counts from 1: the bias correction
};

/// One AdamW update of a flat buffer, in one pass over it (Loshchilov & Hutter, arXiv 1711.05101):
///
///     p ← p·(1 − lr·decay)                       in [0, regions.decay) only
///     m ← β₁m + (1 − β₁)g     v ← β₂v + (1 − β₂)g²     g = grad_scale · grad
///     p ← p − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
///
/// All tensors [P], contiguous, one dtype (float32 or float64) and device; updated in place.
/// Elements of [regions.no_decay, regions.all) are frozen: nothing of theirs is read or written. An
/// element's result depends on that element alone, so threads change nothing.
void adamw_update(
    const at::Tensor& master,
    const at::Tensor& grad,
    const at::Tensor& exp_avg,
    const at::Tensor& exp_avg_sq,
    const RegionEnds& regions,
    const AdamWStep& step);

/// AdamW with its two states, over the flat buffer of a model.
class AdamW {
 public:
  /// States start at zero. `parameters` outlives the optimizer.
  AdamW(FlatParameters& parameters, const OptimSection& config);

  /// Updates `parameters.master()` from `parameters.grad()`, then `parameters.compute()`.
  void step(double lr, double grad_scale);

  std::int64_t num_updates() const {
    return num_updates_;
  }
  void set_num_updates(std::int64_t num_updates) {
    num_updates_ = num_updates;
  }
  const at::Tensor& exp_avg() const { ///< [P], dtype of `parameters.master()`
    return exp_avg_;
  }
  const at::Tensor& exp_avg_sq() const { ///< [P]
    return exp_avg_sq_;
  }

 private:
  FlatParameters& parameters_;
  OptimSection config_;
  std::int64_t num_updates_ = 0;
  at::Tensor exp_avg_, exp_avg_sq_;
};

} // namespace fcc
