#include "fcc/train/curriculum.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

/// Keeps the draws of shapes apart from every other use of the seed.
constexpr std::uint64_t kShapeStream = 0x73686170'65000000ULL; // "shape"
/// Random numbers set aside for one step.
constexpr std::uint64_t kNumbersAStep = 64;

} // namespace

std::string stage_name(const TrainSection& config, std::int64_t stage) {
  const std::string& name = config.stages.at(static_cast<std::size_t>(stage)).name;
  return name.empty() ? "stage_" + std::to_string(stage) : name;
}

std::int64_t
stage_segment_length(const TrainSection& config, std::size_t stage, std::int64_t of_model) {
  std::int64_t length = of_model;
  for (std::size_t i = 0; i <= stage && i < config.stages.size(); ++i) {
    length = config.stages[i].segment_length.value_or(length);
  }
  return length;
}

Curriculum::Curriculum(const TrainSection& config) : config_(config) {
  if (config_.stages.empty()) {
    throw ConfigError("train.stages", "needs at least one stage");
  }
}

void Curriculum::restore(State state) {
  const auto num_stages = static_cast<std::int64_t>(config_.stages.size());
  if (state.stage < 0 || state.stage > num_stages || state.step_in_stage < 0 ||
      state.step < state.step_in_stage) {
    throw FormatError("trainer.json", "holds a position that no run reaches");
  }
  state_ = std::move(state);
}

std::int64_t Curriculum::accumulate() const {
  return stage().accumulate.value_or(config_.accumulate);
}

std::int64_t Curriculum::most_steps_left() const {
  std::int64_t left = -state_.step_in_stage;
  for (auto i = static_cast<std::size_t>(state_.stage); i < config_.stages.size(); ++i) {
    left += config_.stages[i].steps;
  }
  return left;
}

double Curriculum::most_tokens_left(std::int64_t segment_length_of_model) const {
  double left = 0;
  for (auto i = static_cast<std::size_t>(state_.stage); i < config_.stages.size(); ++i) {
    const StageConfig& each = config_.stages[i];
    const bool current = i == static_cast<std::size_t>(state_.stage);
    const std::int64_t steps = each.steps - (current ? state_.step_in_stage : 0);
    const std::int64_t rows =
        each.accumulate.value_or(config_.accumulate) * each.batch_size.value_or(config_.batch_size);
    left += static_cast<double>(
                steps * rows * stage_segment_length(config_, i, segment_length_of_model)) *
            (each.segments.mean() + each.prefix_segments.mean());
  }
  return left;
}

BatchShape Curriculum::draw_shape(std::int64_t segment_length) const {
  const StageConfig& current = stage();
  Random random(
      static_cast<std::uint64_t>(config_.seed),
      kShapeStream,
      static_cast<std::uint64_t>(state_.step) * kNumbersAStep);
  BatchShape shape;
  shape.batch_size = current.batch_size.value_or(config_.batch_size);
  shape.num_segments = current.segments.draw(random);
  shape.num_prefix_segments = current.prefix_segments.draw(random);
  shape.segment_length = segment_length;
  return shape;
}

void Curriculum::advance(const std::optional<StepLosses>& losses) {
  const StageConfig& current = stage();
  ++state_.step;
  ++state_.step_in_stage;
  if (current.until && !current.until->looks_at_validation()) {
    if (!losses) {
      state_.window.clear();
    } else if (current.until->metric == "loss") {
      push(losses->mean_loss);
    } else if (losses->answer_loss) { // a step of mixed data may have drawn no answer
      push(*losses->answer_loss);
    }
  }
  if (state_.step_in_stage >= current.steps || until_is_met()) {
    next_stage();
  }
}

void Curriculum::observe(const std::vector<ValidationReport>& reports) {
  if (finished() || state_.step_in_stage == 0 || !stage().until ||
      !stage().until->looks_at_validation()) {
    return;
  }
  const UntilConfig& until = *stage().until;
  const auto watched =
      std::find_if(reports.begin(), reports.end(), [&](const ValidationReport& report) {
        return until.dataset.empty() || report.dataset == until.dataset;
      });
  std::optional<double> value;
  if (watched != reports.end()) {
    value = until.metric == "validation_loss" ? watched->mean_loss : watched->answer_loss;
  }
  const bool is_value = value && std::isfinite(*value);
  if (is_value) {
    push(*value);
  } else {
    state_.window.clear();
  }
  if (is_value && (!state_.lowest || *value < *state_.lowest)) {
    state_.lowest = value;
    state_.waited = 0;
  } else {
    ++state_.waited;
  }
  if (until_is_met()) {
    next_stage();
  }
}

void Curriculum::push(double value) {
  state_.window.push_back(value);
  if (static_cast<std::int64_t>(state_.window.size()) > stage().until->window) {
    state_.window.erase(state_.window.begin());
  }
}

void Curriculum::next_stage() {
  State next;
  next.step = state_.step;
  next.stage = state_.stage + 1;
  state_ = std::move(next);
}

bool Curriculum::until_is_met() const {
  const std::optional<UntilConfig>& until = stage().until;
  if (!until) {
    return false;
  }
  if (until->patience && state_.waited >= *until->patience) {
    return true;
  }
  return until->below && static_cast<std::int64_t>(state_.window.size()) == until->window &&
         std::all_of(state_.window.begin(), state_.window.end(), [&](double value) {
           return value < *until->below;
         });
}

} // namespace fcc
