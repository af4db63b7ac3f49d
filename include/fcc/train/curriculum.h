#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/data/batch.h"
#include "fcc/train/metrics.h"

namespace fcc {

/// What a step found, as far as stages look at it.
struct StepLosses {
  double mean_loss = 0;              ///< plain mean cross-entropy per counted token
  std::optional<double> answer_loss; ///< the same over the targets of answers
};

/// The stage's name in reports: its own, or `stage_<index>`.
std::string stage_name(const TrainSection& config, std::int64_t stage);

/// Tokens in a segment in a stage: the last `segment_length` that it or a stage before it gives,
/// else that of the model (of which a checkpoint of an earlier stage keeps the same).
std::int64_t
stage_segment_length(const TrainSection& config, std::size_t stage, std::int64_t of_model);

/// The stages of a run and where it stands in them.
class Curriculum {
 public:
  /// The position, whole: a checkpoint holds it.
  struct State {
    std::int64_t step = 0; ///< steps done in all
    std::int64_t stage = 0;
    std::int64_t step_in_stage = 0;
    std::vector<double> window;   ///< the last values of the stage's `until` metric, oldest first
    std::optional<double> lowest; ///< the lowest of them in this stage, of validations
    std::int64_t waited = 0;      ///< validations since then

    bool operator==(const State&) const = default;
  };

  /// Errors: `ConfigError` without stages.
  explicit Curriculum(const TrainSection& config);

  const State& state() const {
    return state_;
  }
  /// Errors: `FormatError` if no such position exists.
  void restore(State state);

  bool finished() const {
    return state_.stage == static_cast<std::int64_t>(config_.stages.size());
  }
  const StageConfig& stage() const {
    return config_.stages.at(static_cast<std::size_t>(state_.stage));
  }
  std::int64_t accumulate() const; ///< micro-batches of a step

  /// Steps left if no `until` ends a stage early.
  std::int64_t most_steps_left() const;
  /// Tokens of all rows of those steps, prefixes too, as many as are to be expected.
  double most_tokens_left(std::int64_t segment_length_of_model) const;

  /// The shape of all micro-batches of the current step: a function of (seed, step) alone.
  BatchShape draw_shape(std::int64_t segment_length) const;

  /// Counts one step and moves to the next stage where this one ends: after `steps`, or when its
  /// metric was under the bound in each of the last `window` steps. A skipped step (no losses)
  /// empties the window. Errors: `Error` if the stage watches `answer_loss` and there is none.
  void advance(const std::optional<StepLosses>& losses);

  /// Counts a validation where the stage's `until` looks at one, and moves to the next stage where
  /// that ends this one: its metric was under the bound in the last `window` validations, or
  /// `patience` validations brought no new lowest value. What is not finite is no value. A
  /// validation right after a stage's end belongs to that stage: the new one passes it over.
  void observe(const std::vector<ValidationReport>& reports);

 private:
  void push(double value);
  void next_stage();
  bool until_is_met() const;

  TrainSection config_;
  State state_;
};

} // namespace fcc
