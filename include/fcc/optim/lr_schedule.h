#pragma once

#include <cstdint>

#include "fcc/config/run_config.h"

namespace fcc {

/// The learning rate of every step, as a function of the position alone (so that a resumed run
/// needs no state for it).
///
///     lr = peak of the stage × warm-up × decay
///
/// Warm-up: `(step + 1) / warmup_steps` over the first `warmup_steps` of the run. Decay: from 1 to
/// `final_lr_ratio` over the last `decay_share` of all steps, but never before the warm-up ends
/// (`cosine`: half a period, `linear`: a line, `constant`: none).
///
/// The number of steps of a run is not known ahead when a stage ends by `until`; the decay then
/// covers the last `decay_share` of the *last stage's* steps (its maximum, if that one has
/// `until`).
class LrPlan {
 public:
  LrPlan(const OptimSection& optim, const TrainSection& train);

  /// `step` counts from 0 over the run, `step_in_stage` from 0 over the stage.
  double rate(std::int64_t step, std::int64_t stage, std::int64_t step_in_stage) const;

 private:
  double warmup(std::int64_t step) const;
  double decay(std::int64_t step, std::int64_t stage, std::int64_t step_in_stage) const;

  OptimSection optim_;
  std::vector<double> peaks_; ///< by stage
  bool ends_are_known_ = true;
  std::int64_t decay_end_ = 0; ///< steps: of the run, or of the last stage
  std::int64_t decay_start_ = 0;
};

} // namespace fcc
