#include "fcc/train/curriculum.h"

#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

TrainSection two_stages() {
  TrainSection train;
  train.seed = 5;
  train.batch_size = 3;
  train.accumulate = 2;
  StageConfig first;
  first.steps = 40;
  first.until = UntilConfig{
      .metric = "answer_loss", .below = 0.1, .window = 3, .patience = {}, .dataset = {}};
  first.segments.kind = IntDistribution::Kind::kList;
  first.segments.values = {2, 3, 4};
  StageConfig second;
  second.steps = 5;
  second.batch_size = 7;
  second.accumulate = 1;
  train.stages = {first, second};
  return train;
}

TEST(Curriculum, DrawsShapesFromSeedAndStepAlone) {
  Curriculum whole(two_stages());
  std::set<std::int64_t> seen;
  for (int i = 0; i < 17; ++i) {
    seen.insert(whole.draw_shape(8).num_segments);
    whole.advance(StepLosses{1.0, 1.0});
  }
  EXPECT_EQ(seen, (std::set<std::int64_t>{2, 3, 4}));
  Curriculum restored(two_stages());
  restored.restore(whole.state());
  EXPECT_EQ(restored.draw_shape(8).num_segments, whole.draw_shape(8).num_segments);
  EXPECT_EQ(restored.draw_shape(8).batch_size, 3);
}

TEST(Curriculum, EndsAStageWhenTheMetricStaysUnderTheBound) {
  Curriculum curriculum(two_stages());
  for (const double answer : {0.05, 0.05, 0.2, 0.05, 0.05}) {
    curriculum.advance(StepLosses{1.0, answer});
    EXPECT_EQ(curriculum.state().stage, 0);
  }
  curriculum.advance(StepLosses{1.0, 0.09});
  EXPECT_EQ(curriculum.state().stage, 1);
  EXPECT_EQ(curriculum.state().step, 6);
  EXPECT_EQ(curriculum.state().step_in_stage, 0);
  EXPECT_EQ(curriculum.draw_shape(8).batch_size, 7);
  EXPECT_EQ(curriculum.accumulate(), 1);
}

TEST(Curriculum, EndsAStageAfterItsStepsAtTheLatest) {
  Curriculum curriculum(two_stages());
  EXPECT_EQ(curriculum.most_steps_left(), 45);
  for (int i = 0; i < 45; ++i) {
    EXPECT_FALSE(curriculum.finished());
    curriculum.advance(StepLosses{1.0, 1.0});
  }
  EXPECT_TRUE(curriculum.finished());
  EXPECT_EQ(curriculum.most_steps_left(), 0);
}

TEST(Curriculum, StartsItsWindowAnewAfterASkippedStep) {
  Curriculum curriculum(two_stages());
  curriculum.advance(StepLosses{1.0, 0.01});
  curriculum.advance(StepLosses{1.0, 0.01});
  curriculum.advance(std::nullopt);
  curriculum.advance(StepLosses{1.0, 0.01});
  EXPECT_EQ(curriculum.state().stage, 0);
  EXPECT_EQ(curriculum.state().window.size(), 1u);
}

TEST(Curriculum, PassesOverStepsThatDrewNoAnswer) {
  Curriculum curriculum(two_stages());
  for (const std::optional<double> answer : {std::optional(0.05), {}, std::optional(0.05), {}}) {
    curriculum.advance(StepLosses{1.0, answer});
  }
  EXPECT_EQ(curriculum.state().window.size(), 2u);
  curriculum.advance(StepLosses{1.0, 0.05});
  EXPECT_EQ(curriculum.state().stage, 1);
}

TrainSection early_stopping() {
  TrainSection train = two_stages();
  train.validate_every = 1;
  train.stages[0].until = UntilConfig{
      .metric = "validation_loss", .below = {}, .window = 2, .patience = 2, .dataset = "b"};
  return train;
}

/// One step, then a validation in which data set `b` has this loss.
void step_and_validate(Curriculum& curriculum, double loss) {
  curriculum.advance(StepLosses{0.0, 0.0});
  ValidationReport other, watched;
  other.dataset = "a";
  watched.dataset = "b";
  watched.mean_loss = loss;
  curriculum.observe({other, watched});
}

TEST(Curriculum, EndsAStageWhenValidationsBringNothingNewForTooLong) {
  Curriculum curriculum(early_stopping());
  for (const double loss : {3.0, 2.0, 2.5, 1.9, 1.9}) {
    step_and_validate(curriculum, loss);
    EXPECT_EQ(curriculum.state().stage, 0) << loss;
  }
  Curriculum restored(early_stopping());
  restored.restore(curriculum.state());
  step_and_validate(restored, 1.95);
  EXPECT_EQ(restored.state().stage, 1);
  EXPECT_FALSE(restored.state().lowest) << "the next stage begins anew";
}

TEST(Curriculum, EndsAStageWhenValidationsStayUnderTheBound) {
  TrainSection train = early_stopping();
  train.stages[0].until->patience.reset();
  train.stages[0].until->below = 1.0;
  Curriculum curriculum(train);
  for (const double loss : {0.5, 2.0, 0.5, std::numeric_limits<double>::quiet_NaN(), 0.5}) {
    step_and_validate(curriculum, loss);
    EXPECT_EQ(curriculum.state().stage, 0) << loss;
  }
  step_and_validate(curriculum, 0.9);
  EXPECT_EQ(curriculum.state().stage, 1);
}

} // namespace
} // namespace fcc
