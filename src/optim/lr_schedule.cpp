#include "fcc/optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fcc {

LrPlan::LrPlan(const OptimSection& optim, const TrainSection& train) : optim_(optim) {
  std::int64_t total = 0, before_last = 0;
  for (const StageConfig& stage : train.stages) {
    peaks_.push_back(stage.lr.value_or(optim.lr));
    ends_are_known_ = ends_are_known_ && !stage.until;
    before_last = total;
    total += stage.steps;
  }
  decay_end_ = ends_are_known_ ? total : total - before_last;
  const auto length = std::llround(optim.decay_share * static_cast<double>(decay_end_));
  // The warm-up lies in the range that decays if that is the whole run or its only stage.
  const bool warmup_inside = ends_are_known_ || train.stages.size() == 1;
  decay_start_ =
      std::max<std::int64_t>(decay_end_ - length, warmup_inside ? optim.warmup_steps : 0);
}

double LrPlan::rate(std::int64_t step, std::int64_t stage, std::int64_t step_in_stage) const {
  return peaks_.at(static_cast<std::size_t>(stage)) * warmup(step) *
         decay(step, stage, step_in_stage);
}

double LrPlan::warmup(std::int64_t step) const {
  if (step >= optim_.warmup_steps) {
    return 1.0;
  }
  return static_cast<double>(step + 1) / static_cast<double>(optim_.warmup_steps);
}

double LrPlan::decay(std::int64_t step, std::int64_t stage, std::int64_t step_in_stage) const {
  const bool last_stage = stage + 1 == static_cast<std::int64_t>(peaks_.size());
  if (optim_.schedule == LrSchedule::kConstant || (!ends_are_known_ && !last_stage)) {
    return 1.0;
  }
  const std::int64_t done = 1 + (ends_are_known_ ? step : step_in_stage);
  if (done <= decay_start_) {
    return 1.0;
  }
  const double share = std::min(
      1.0,
      static_cast<double>(done - decay_start_) / static_cast<double>(decay_end_ - decay_start_));
  const double left = optim_.schedule == LrSchedule::kLinear
                          ? 1.0 - share
                          : 0.5 * (1.0 + std::cos(std::numbers::pi * share));
  return optim_.final_lr_ratio + (1.0 - optim_.final_lr_ratio) * left;
}

} // namespace fcc
