#include "fcc/train/curriculum.h"

#include <algorithm>
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
  if (current.until) {
    if (!losses) {
      state_.window.clear();
    } else if (current.until->metric == "answer_loss") {
      if (losses->answer_loss) { // a step of mixed data may have drawn no answer
        state_.window.push_back(*losses->answer_loss);
      }
    } else {
      state_.window.push_back(losses->mean_loss);
    }
    if (static_cast<std::int64_t>(state_.window.size()) > current.until->window) {
      state_.window.erase(state_.window.begin());
    }
  }
  if (state_.step_in_stage >= current.steps || until_is_met()) {
    ++state_.stage;
    state_.step_in_stage = 0;
    state_.window.clear();
  }
}

bool Curriculum::until_is_met() const {
  const std::optional<UntilConfig>& until = stage().until;
  return until && static_cast<std::int64_t>(state_.window.size()) == until->window &&
         std::all_of(state_.window.begin(), state_.window.end(), [&](double value) {
           return value < until->below;
         });
}

} // namespace fcc
