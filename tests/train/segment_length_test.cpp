// Stages whose segments have another length than the model's.
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"
#include "fcc/train/estimate.h"
#include "fcc/train/resume.h"
#include "train/saved_run.h"
#include "train/tiny_run.h"
#include "train/train_process.h"
#include "train/train_run.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

using test::checkpoint;
using test::hashes;
using test::message_of;

constexpr std::int64_t kSteps = 21;
/// Segments of each step, stage by stage: the model's own 14 come last.
constexpr std::int64_t kLengths[] = {11, 17, 14};

/// Three stages of 7 steps with segments of 11, 17 and 14 tokens; batches shrink as they grow.
RunConfig growing_run(const fs::path& output, Execution execution = Execution::kReference) {
  RunConfig config = tiny_run(output);
  config.engine.execution = execution;
  config.data.train[0].intro = "";
  config.data.train[0].filler = "The sky is blue.";
  config.data.validation = config.data.train;
  StageConfig stage = config.train.stages[0];
  stage.steps = 7;
  config.train.stages.clear();
  for (std::size_t i = 0; i < 3; ++i) {
    stage.name = "of " + std::to_string(kLengths[i]);
    stage.segment_length = kLengths[i];
    stage.batch_size = static_cast<std::int64_t>(4 - i);
    stage.segments.values = {3, 4};
    config.train.stages.push_back(stage);
  }
  return config;
}

std::vector<nlohmann::json> metrics_of(const RunConfig& config) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(fs::path(config.output) / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

std::int64_t length_of_saved_model(const fs::path& directory) {
  return load_model_config(directory).fcc->segment_length;
}

class SegmentLength : public testing::TestWithParam<Execution> {};

TEST_P(SegmentLength, ResumedInAndBetweenStagesEqualsAnUninterruptedRun) {
  const TemporaryFolder folder;
  RunConfig whole = growing_run(folder / "whole", GetParam());
  whole.checkpoint = {.every = 1, .keep_last = 100};
  ASSERT_EQ(run(whole), Trainer::End::kFinished);
  const std::string expected = hashes(whole, kSteps);
  for (const std::int64_t step : {3, 7, 8, 13, 14, 15, 20}) {
    const RunConfig part = growing_run(folder / std::to_string(step), GetParam());
    ASSERT_EQ(run(part, checkpoint(whole, step).string()), Trainer::End::kFinished);
    EXPECT_EQ(hashes(part, kSteps), expected) << "resumed at step " << step;
  }
}

TEST_P(SegmentLength, IsThatOfItsStageInMetricsCheckpointsAndValidations) {
  const TemporaryFolder folder;
  RunConfig config = growing_run(folder / "run", GetParam());
  config.train.validate_every = 7;
  config.checkpoint = {.every = 7, .keep_last = 9};
  ASSERT_EQ(run(config), Trainer::End::kFinished);
  std::int64_t steps = 0;
  for (const nlohmann::json& line : metrics_of(config)) {
    if (line.contains("loss")) {
      EXPECT_EQ(line.at("segment_length"), kLengths[steps++ / 7]);
    }
  }
  EXPECT_EQ(steps, kSteps);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto saved = checkpoint(config, static_cast<std::int64_t>(7 * (i + 1)));
    EXPECT_EQ(length_of_saved_model(saved), kLengths[i]) << "at the end of stage " << i;
  }
}

TEST_P(SegmentLength, TheFirstStageTrainsLikeAModelOfThatLength) {
  const TemporaryFolder folder;
  RunConfig shorter = growing_run(folder / "shorter", GetParam()), own = shorter;
  own.output = (folder / "own").string();
  own.model.config->fcc->segment_length = kLengths[0];
  for (RunConfig* config : {&shorter, &own}) {
    config->train.stages.resize(1);
    ASSERT_EQ(run(*config), Trainer::End::kFinished);
  }
  EXPECT_EQ(
      read_file(checkpoint(shorter, 7) / "model.safetensors"),
      read_file(checkpoint(own, 7) / "model.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(
    BothExecutions,
    SegmentLength,
    testing::Values(Execution::kReference, Execution::kFused),
    [](const auto& each) {
      return std::string(each.param == Execution::kFused ? "Fused" : "Reference");
    });

TEST(SegmentLengthOfTheFinalModel, IsTheLastStagesAndStaysItWhenAFinishedRunIsResumed) {
  const TemporaryFolder folder;
  RunConfig config = growing_run(folder / "run");
  config.train.stages.resize(2); // ends with segments of 17; the model's own are of 14
  ASSERT_EQ(run(config), Trainer::End::kFinished);
  const fs::path final_model = fs::path(config.output) / "final";
  EXPECT_EQ(length_of_saved_model(final_model), 17);
  ASSERT_EQ(run(config, "auto"), Trainer::End::kFinished);
  EXPECT_EQ(length_of_saved_model(final_model), 17);
}

TEST(SegmentLengthOfTheFinalModel, IsInheritedByStagesThatNameNone) {
  const TemporaryFolder folder;
  RunConfig config = growing_run(folder / "run");
  config.train.stages[0].segment_length.reset(); // the model's 14
  config.train.stages[2].segment_length.reset(); // the second stage's 17
  ASSERT_EQ(run(config), Trainer::End::kFinished);
  EXPECT_EQ(length_of_saved_model(fs::path(config.output) / "final"), 17);
  EXPECT_EQ(metrics_of(config).front().at("segment_length"), 14);
}

TEST(SegmentLengthOfAStage, CannotChangeInAResumedRunUnlessTheCourseIsNew) {
  const TemporaryFolder folder;
  RunConfig config = growing_run(folder / "run");
  config.checkpoint = {.every = 10, .keep_last = 9};
  ASSERT_EQ(run(config), Trainer::End::kFinished);
  fs::remove_all(checkpoint(config, kSteps));
  fs::remove_all(checkpoint(config, 20));
  config.train.stages[2].segment_length = 19;
  const std::string message = message_of([&] { run(config, "auto"); });
  EXPECT_NE(message.find("train.stages.2.segment_length (was 14, is 19)"), std::string::npos)
      << message;
  const RunDirectory directory(config.output);
  const auto saved = find_checkpoint(directory, "auto");
  ASSERT_EQ(
      Trainer(config, make_trainer_parts(config, saved))
          .run(directory, saved, {false}, Course::kNew),
      Trainer::End::kFinished);
  EXPECT_EQ(length_of_saved_model(fs::path(config.output) / "final"), 19);
}

TEST(SegmentLengthOfAStage, IsRefusedByNameWhereInitialMemoryHasARowForEachToken) {
  RunConfig config = growing_run("somewhere");
  config.model.config->fcc->first_memory = FirstMemory::kLearned;
  const std::string message = message_of([&] { make_trainer_parts(config); });
  EXPECT_NE(message.find("train.stages.0.segment_length"), std::string::npos) << message;
  EXPECT_NE(message.find("initial_memory"), std::string::npos) << message;
  for (StageConfig& stage : config.train.stages) {
    stage.segment_length = 14; // the model's own is no change
  }
  EXPECT_NO_THROW(make_trainer_parts(config));
}

TEST(SegmentLengthOfAStage, CountsInTheEstimateOfTokensMemoryAndOperations) {
  RunConfig config = growing_run("somewhere");
  const ModelConfig model = resolve_model_config(config.model);
  const RunEstimate estimate = estimate_run(config, model, Processor::kCpu);
  for (std::size_t i = 0; i < 3; ++i) {
    // 7 steps × 2 micro-batches × rows × 3.5 segments on average × L
    const double rows = static_cast<double>(4 - i);
    EXPECT_DOUBLE_EQ(
        estimate.stages[i].tokens, 7 * 2 * rows * 3.5 * static_cast<double>(kLengths[i]));
  }
  EXPECT_EQ(estimate.fullest_stage, "of 17");
  const std::string text = to_text(estimate);
  EXPECT_NE(text.find("of 11, segments of 11 "), std::string::npos) << text;

  RunConfig longer = config;
  longer.train.stages[1].segment_length = 170;
  const RunEstimate more = estimate_run(longer, model, Processor::kCpu);
  EXPECT_GT(more.memory.total_bytes(), estimate.memory.total_bytes());
  EXPECT_GT(more.flops_per_token, estimate.flops_per_token); // attention sees 170 tokens, and more
  EXPECT_EQ(
      to_text(estimate_run(tiny_run("x"), model, Processor::kCpu)).find("segments of"),
      std::string::npos);
}

class SegmentLengthProgram : public test::TrainProgram {};

TEST_F(SegmentLengthProgram, TheLogSaysFromWhichStepOnAndTheDryRunPlansEveryStage) {
  const RunConfig config = growing_run(folder_ / "run");
  const std::string file = config_file(config);
  const test::TrainProcess plan = start({file, "--dry-run"});
  EXPECT_EQ(plan.wait(), 0) << plan.output();
  EXPECT_NE(plan.output().find("of 17, segments of 17 "), std::string::npos) << plan.output();
  const test::TrainProcess process = start({file});
  EXPECT_EQ(process.wait(), 0) << process.output();
  const std::string log = read_file(folder_ / "run/log.txt");
  for (const char* line :
       {"from step 1 on: segments of 11 tokens (stage of 11)",
        "from step 8 on: segments of 17 tokens (stage of 17)",
        "from step 15 on: segments of 14 tokens (stage of 14)"}) {
    EXPECT_NE(log.find(line), std::string::npos) << log;
  }
}

} // namespace
} // namespace fcc
