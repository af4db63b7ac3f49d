#pragma once

#include <cstdint>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/data/batch.h"

namespace fcc {

/// What the loss of one optimizer step divides by. Counts of several micro-batches, rows and ranks
/// add up, so that a split batch gives the coefficients of the whole one.
struct LossCounts {
  std::vector<double> per_segment; ///< [S] n_s: targets of segment s with weight ≠ 0
  double weight_sum = 0.0;         ///< Σ w over the counted targets
};

/// Adds the counted targets of `batch` to `counts` (`per_segment` grows to S where shorter).
///
/// A target of -100 and every target of a prefix segment has weight 0. Empty `target_weights` mean
/// 1 everywhere. T is taken from `targets`, so the last segment may be shorter than the others.
/// Errors: `Error` if the arrays' sizes do not fit the shape.
void count_targets(const Batch& batch, LossCounts& counts);

/// [B, T] The factor of each target's cross-entropy (arXiv 2405.04620, eq. 17, with weights):
/// `segment_mean_sum`: w / n_s, `token_mean`: w / Σw; 0 where the target is not counted.
/// `counts` cover the whole step; segments or steps without a counted target give 0.
/// Errors: `Error` if the arrays' sizes do not fit the shape or `counts` lack a segment.
std::vector<double> loss_coefficients(const Batch& batch, const LossCounts& counts, LossKind kind);

} // namespace fcc
