#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/train/resume.h"
#include "train/saved_run.h"
#include "train/tiny_run.h"
#include "train/train_run.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

using test::checkpoint;
using test::hashes;
using test::message_of;

constexpr std::int64_t kSteps = 30;

/// As `run`, on a new course.
Trainer::End run_on(const RunConfig& config) {
  const RunDirectory directory(config.output);
  const auto checkpoint = find_checkpoint(directory, "auto");
  return Trainer(config, make_trainer_parts(config, checkpoint))
      .run(directory, checkpoint, {false}, Course::kNew);
}

TEST(NewCourse, GoesOnLongerWithAnotherRateAndKeepsTheOptimizer) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.stages[1].until.reset();
  ASSERT_EQ(run(config), Trainer::End::kFinished);
  const std::int64_t updates = load_trainer_state(checkpoint(config, kSteps)).num_updates;
  config.train.stages[1].steps += 5;
  config.optim.lr = 1e-3;
  EXPECT_NE(message_of([&] { run(config, "auto"); }).find("--new-course"), std::string::npos);
  ASSERT_EQ(run_on(config), Trainer::End::kFinished);
  const TrainerState state = load_trainer_state(checkpoint(config, kSteps + 5));
  EXPECT_EQ(state.num_updates, updates + 5);
  ASSERT_EQ(state.course_changes.size(), 1U);
  EXPECT_EQ(state.course_changes[0].step, kSteps);
  EXPECT_EQ(
      state.course_changes[0].keys,
      "optim.lr (was 0.01, is 0.001), train.stages.1.steps (was 17, is 22)");
  EXPECT_EQ(run(config, "auto"), Trainer::End::kFinished)
      << "the new course is the run's from then";
}

TEST(NewCourse, WithoutAChangeIsTheSameCourse) {
  const TemporaryFolder folder;
  RunConfig whole = tiny_run(folder / "whole");
  whole.checkpoint.every = 20;
  ASSERT_EQ(run(whole), Trainer::End::kFinished);
  const std::string expected = hashes(whole, kSteps);
  fs::remove_all(checkpoint(whole, kSteps));
  ASSERT_EQ(run_on(whole), Trainer::End::kFinished);
  EXPECT_EQ(hashes(whole, kSteps), expected);
}

TEST(NewCourse, RefusesAnotherModelOtherDataAndNothingToDo) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.stages[1].until.reset();
  ASSERT_EQ(run(config), Trainer::End::kFinished);
  RunConfig other = config;
  other.data.train[0].digits = 3;
  EXPECT_NE(message_of([&] { run_on(other); }).find("data.train.0.digits"), std::string::npos);
  other = config;
  other.train.stages[1].steps = 3;
  EXPECT_NE(
      message_of([&] { run_on(other); }).find("must leave steps to train"), std::string::npos);
}

TEST(Course, OfAVersionWithFewerKeysIsTheSame) {
  const TemporaryFolder folder;
  const std::string now = course_of_config(write_config(tiny_run(folder / "run")));
  std::string before = now;
  for (const std::string later :
       {",\"patience\":null",
        ",\"dataset\":\"\"",
        ",\"length\":\"exact\"",
        ",\"filler_blocks\":\"cut\"",
        ",\"task\":null",
        ",\"options\":null"}) {
    ASSERT_NE(before.find(later), std::string::npos) << before;
    before.erase(before.find(later), later.size());
  }
  EXPECT_EQ(message_of([&] { check_same_course(before, now); }), "no error");
}

TEST(Course, HoldsWhatIsValidatedWhereAStageWatchesIt) {
  RunConfig config = tiny_run("run");
  config.data.validation = config.data.train;
  config.train.validate_every = 3;
  const auto course = [&] { return course_of_config(write_config(config)); };
  const std::string before = course();
  config.train.validate_every = 5;
  EXPECT_EQ(course(), before);
  config.train.stages[0].until = UntilConfig{
      .metric = "validation_loss", .below = 1.0, .window = 1, .patience = {}, .dataset = {}};
  const std::string watching = course();
  config.train.validate_every = 7;
  EXPECT_NE(course(), watching);
}

TEST(Course, LeavesOutWhatOnlyLooksOn) {
  RunConfig config = tiny_run("somewhere");
  const std::string before = course_of_config(write_config(config));
  config.output = "elsewhere";
  config.log.every = 99;
  config.checkpoint.every = 99;
  config.train.validate_every = 0;
  config.train.validation_batches = 5;
  config.data.validation = config.data.train;
  EXPECT_EQ(course_of_config(write_config(config)), before);
  config.train.batch_size = 4;
  EXPECT_NE(course_of_config(write_config(config)), before);
}

} // namespace
} // namespace fcc
