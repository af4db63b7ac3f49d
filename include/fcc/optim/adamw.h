#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "fcc/config/run_config.h"
#include "fcc/model/parameters.h"
#include "fcc/optim/optimizer.h"

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

/// The same for the ranges that the two states are kept for (alike): updates
/// `parameters.master()` from `parameters.grad()` and the same elements of `parameters.compute()`.
/// No element that is frozen is touched.
void adamw_update(
    FlatParameters& parameters,
    const OptimizerState& exp_avg,
    const OptimizerState& exp_avg_sq,
    const AdamWStep& step);

/// The numbers of update `update` (from 1) as a run's settings have them.
AdamWStep adamw_step(const OptimSection& config, double lr, double grad_scale, std::int64_t update);

/// The temporaries of an update of `count` elements. On a GPU in bfloat16 the project's kernel,
/// which needs none, is counted on.
std::int64_t adamw_scratch_bytes(std::int64_t count, ComputeDType dtype, at::DeviceType type);

} // namespace fcc
