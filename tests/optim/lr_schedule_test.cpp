#include "fcc/optim/lr_schedule.h"

#include <gtest/gtest.h>

namespace fcc {
namespace {

TrainSection stages(std::initializer_list<std::int64_t> steps) {
  TrainSection train;
  for (const std::int64_t count : steps) {
    train.stages.push_back({});
    train.stages.back().steps = count;
  }
  return train;
}

OptimSection optim(LrSchedule schedule, double decay_share) {
  OptimSection section;
  section.lr = 2.0;
  section.schedule = schedule;
  section.warmup_steps = 10;
  section.decay_share = decay_share;
  section.final_lr_ratio = 0.1;
  return section;
}

TEST(LrPlan, WarmsUpInALine) {
  const LrPlan plan(optim(LrSchedule::kConstant, 1.0), stages({100}));
  EXPECT_DOUBLE_EQ(plan.rate(0, 0, 0), 0.2);
  EXPECT_DOUBLE_EQ(plan.rate(4, 0, 4), 1.0);
  EXPECT_DOUBLE_EQ(plan.rate(9, 0, 9), 2.0);
  EXPECT_DOUBLE_EQ(plan.rate(99, 0, 99), 2.0);
}

TEST(LrPlan, DecaysByCosineFromTheWarmUpToTheFinalRatio) {
  const LrPlan plan(optim(LrSchedule::kCosine, 1.0), stages({60, 50}));
  EXPECT_DOUBLE_EQ(plan.rate(9, 0, 9), 2.0);
  EXPECT_NEAR(plan.rate(59, 0, 59), 2.0 * (0.1 + 0.9 * 0.5), 1e-12); // half of 10..110
  EXPECT_NEAR(plan.rate(109, 1, 49), 0.2, 1e-12);
}

TEST(LrPlan, DecaysInALineOverTheLastShare) {
  const LrPlan plan(optim(LrSchedule::kLinear, 0.3), stages({100}));
  EXPECT_DOUBLE_EQ(plan.rate(69, 0, 69), 2.0);
  EXPECT_NEAR(plan.rate(84, 0, 84), 2.0 * 0.55, 1e-12);
  EXPECT_NEAR(plan.rate(99, 0, 99), 0.2, 1e-12);
}

TEST(LrPlan, DecaysInTheLastStageWhereAStageMayEndEarly) {
  TrainSection train = stages({1000, 100});
  train.stages[0].until = UntilConfig{};
  const LrPlan plan(optim(LrSchedule::kLinear, 0.3), train);
  EXPECT_DOUBLE_EQ(plan.rate(999, 0, 999), 2.0);
  // The last stage came at step 40: its own steps count.
  EXPECT_DOUBLE_EQ(plan.rate(109, 1, 69), 2.0);
  EXPECT_NEAR(plan.rate(139, 1, 99), 0.2, 1e-12);
}

TEST(LrPlan, TakesThePeakOfTheStage) {
  TrainSection train = stages({50, 50});
  train.stages[1].lr = 0.5;
  const LrPlan plan(optim(LrSchedule::kConstant, 1.0), train);
  EXPECT_DOUBLE_EQ(plan.rate(49, 0, 49), 2.0);
  EXPECT_DOUBLE_EQ(plan.rate(50, 1, 0), 0.5);
}

} // namespace
} // namespace fcc
