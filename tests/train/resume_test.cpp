#include "fcc/train/resume.h"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "train/saved_run.h"
#include "train/tiny_run.h"
#include "train/train_run.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSteps = 30;

using test::checkpoint;
using test::hashes;
using test::message_of;

void flip_bit(const fs::path& file, std::uint64_t position) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(position));
  const int byte = stream.get();
  stream.seekp(static_cast<std::streamoff>(position));
  stream.put(static_cast<char>(byte ^ 1));
}

TEST(Resume, EqualsAnUninterruptedRunFromEveryStep) {
  const TemporaryFolder folder;
  RunConfig whole = tiny_run(folder / "whole");
  whole.checkpoint = {.every = 1, .keep_last = 100};
  ASSERT_EQ(run(whole), Trainer::End::kFinished);
  const std::string expected = hashes(whole, kSteps);
  for (std::int64_t step = 1; step < kSteps; ++step) {
    const RunConfig part = tiny_run(folder / std::to_string(step));
    ASSERT_EQ(run(part, checkpoint(whole, step).string()), Trainer::End::kFinished);
    EXPECT_EQ(hashes(part, kSteps), expected) << "resumed at step " << step;
  }
}

TEST(Resume, EqualsAnUninterruptedRunWithMuon) {
  const TemporaryFolder folder;
  const auto config_of = [&](const std::string& name) {
    RunConfig config = tiny_run(folder / name);
    config.optim.kind = OptimKind::kMuon;
    return config;
  };
  RunConfig whole = config_of("whole");
  whole.checkpoint = {.every = 10, .keep_last = 9};
  ASSERT_EQ(run(whole), Trainer::End::kFinished);
  for (const std::int64_t step : {10, 20}) {
    const RunConfig part = config_of(std::to_string(step));
    ASSERT_EQ(run(part, checkpoint(whole, step).string()), Trainer::End::kFinished);
    EXPECT_EQ(hashes(part, kSteps), hashes(whole, kSteps)) << "resumed at step " << step;
  }
}

TEST(Resume, RefusesTheStatesOfAnotherOptimizer) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  run(config);
  config.optim.kind = OptimKind::kMuon;
  const std::string message = message_of([&] { run(config, "auto"); });
  EXPECT_NE(message.find("optim.kind (was \"adamw\", is \"muon\")"), std::string::npos) << message;
  FlatParameters parameters(*config.model.config, ComputeDType::kFloat32, at::kCPU, 1);
  const auto muon = make_optimizer(config.optim, parameters);
  const std::string missing =
      message_of([&] { load_optimizer(checkpoint(config, kSteps), parameters, *muon); });
  EXPECT_NE(missing.find("momentum."), std::string::npos) << missing;
}

TEST(Resume, EqualsAnUninterruptedRunAfterAStop) {
  const TemporaryFolder folder;
  const RunConfig whole = tiny_run(folder / "whole"), stopped = tiny_run(folder / "stopped");
  ASSERT_EQ(run(whole), Trainer::End::kFinished);
  EXPECT_EQ(run(stopped, std::nullopt, /*stop=*/true), Trainer::End::kStopped);
  EXPECT_FALSE(fs::exists(fs::path(stopped.output) / "final"));
  ASSERT_EQ(run(stopped, "auto"), Trainer::End::kFinished);
  EXPECT_EQ(hashes(stopped, kSteps), hashes(whole, kSteps));
  EXPECT_TRUE(fs::exists(fs::path(stopped.output) / "final" / "model.safetensors"));
}

TEST(Resume, CheckpointsWrittenInTheBackgroundHoldTheirStep) {
  const TemporaryFolder folder;
  RunConfig behind = tiny_run(folder / "behind"), waiting = tiny_run(folder / "waiting");
  for (RunConfig* config : {&behind, &waiting}) {
    config->checkpoint = {.every = 1, .keep_last = kSteps, .in_background = config == &behind};
    ASSERT_EQ(run(*config), Trainer::End::kFinished);
  }
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    EXPECT_EQ(hashes(behind, step), hashes(waiting, step)) << "step " << step;
  }
}

TEST(Resume, OfAFinishedRunChangesNothing) {
  const TemporaryFolder folder;
  const RunConfig config = tiny_run(folder / "run");
  run(config);
  const std::string before = hashes(config, kSteps);
  EXPECT_EQ(run(config, "auto"), Trainer::End::kFinished);
  EXPECT_EQ(hashes(config, kSteps), before);
}

TEST(Resume, FromAnOlderCheckpointSetsLaterOnesAside) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint = {.every = 10, .keep_last = 9};
  run(config);
  const std::string expected = hashes(config, kSteps);
  ASSERT_EQ(run(config, checkpoint(config, 10).string(), /*stop=*/true), Trainer::End::kStopped);
  const fs::path checkpoints = fs::path(config.output) / "checkpoints";
  EXPECT_FALSE(fs::exists(checkpoint(config, 20)));
  EXPECT_TRUE(fs::exists(checkpoints / "set-aside-step-00000020/manifest.json"));
  EXPECT_TRUE(fs::exists(checkpoints / "set-aside-step-00000030/manifest.json"));
  ASSERT_EQ(run(config, "auto"), Trainer::End::kFinished);
  EXPECT_EQ(hashes(config, kSteps), expected);
  ASSERT_EQ(run(config, checkpoint(config, 10).string()), Trainer::End::kFinished);
  EXPECT_TRUE(fs::exists(checkpoints / "set-aside-step-00000030-2"));
}

TEST(Resume, NeedsNoModelThatTheRunBeganWith) {
  const TemporaryFolder folder;
  const RunConfig first = tiny_run(folder / "first");
  run(first);
  RunConfig config = tiny_run(folder / "second");
  config.model = {};
  config.model.path = (fs::path(first.output) / "final").string();
  config.data.tokenizer = {}; // the model's
  config.checkpoint.every = 10;
  ASSERT_EQ(run(config), Trainer::End::kFinished);
  const std::string expected = hashes(config, kSteps);
  fs::remove_all(checkpoint(config, kSteps));
  fs::remove_all(first.output);
  ASSERT_EQ(run(config, "auto"), Trainer::End::kFinished);
  EXPECT_EQ(hashes(config, kSteps), expected);
}

TEST(Resume, AFinishedRunWithoutCheckpointsIsNotWrittenOver) {
  const TemporaryFolder folder;
  const RunConfig config = tiny_run(folder / "run");
  run(config);
  fs::remove_all(fs::path(config.output) / "checkpoints");
  for (const std::optional<std::string>& resume : {std::optional<std::string>(), {"auto"}}) {
    const std::string message = message_of([&] { run(config, resume); });
    EXPECT_NE(message.find("finished run"), std::string::npos) << message;
  }
}

TEST(Resume, StartsAnewWhereNothingIsSaved) {
  const TemporaryFolder folder;
  const RunConfig config = tiny_run(folder / "run");
  EXPECT_EQ(run(config, "auto"), Trainer::End::kFinished);
}

TEST(Resume, CutsTheMetricsBackToTheCheckpoint) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint.every = 12;
  run(config);
  fs::remove_all(checkpoint(config, 30)); // as if killed after step 30 had been written
  const fs::path metrics = fs::path(config.output) / "metrics.jsonl";
  std::ofstream(metrics, std::ios::app) << "{\"step\": 31, \"lo"; // a torn line
  run(config, "auto");
  std::ifstream lines(metrics);
  std::int64_t step = 0;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(line.find("{\"step\":" + std::to_string(++step) + ","), 0u) << line;
  }
  EXPECT_EQ(step, kSteps);
}

TEST(Resume, TimesOfTheMetricsNeverFallAndLeaveThePauseOut) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint.every = 12;
  run(config);
  fs::remove_all(checkpoint(config, 30));
  const fs::path metrics = fs::path(config.output) / "metrics.jsonl";
  // As if the process had taken an hour and ended by a clock that was a day ahead.
  std::vector<nlohmann::ordered_json> lines;
  std::ifstream before(metrics);
  for (std::string line; std::getline(before, line);) {
    lines.push_back(nlohmann::ordered_json::parse(line));
    lines.back()["time"] = lines.back()["time"].get<double>() + 86400;
    lines.back()["seconds"] = 3600;
  }
  std::ofstream changed(metrics);
  for (const auto& line : lines) {
    changed << line.dump() << '\n';
  }
  changed.close();
  run(config, "auto");
  std::ifstream after(metrics);
  double time = 0, seconds = 0;
  for (std::string line; std::getline(after, line);) {
    const auto parsed = nlohmann::json::parse(line);
    EXPECT_GE(parsed.at("time").get<double>(), time);
    EXPECT_GE(parsed.at("seconds").get<double>(), seconds);
    time = parsed.at("time").get<double>();
    seconds = parsed.at("seconds").get<double>();
  }
  EXPECT_GE(seconds, 3600);
  EXPECT_LT(seconds, 3600 + 3600);
}

TEST(Resume, RefusesAChangedKeyByName) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  run(config);
  config.optim.lr = 2e-2;
  config.train.stages[1].steps = 18;
  config.log.every = 3;
  config.checkpoint.keep_last = 9;
  const std::string message = message_of([&] { run(config, "auto"); });
  EXPECT_NE(message.find("optim.lr (was 0.01, is 0.02)"), std::string::npos) << message;
  EXPECT_NE(message.find("train.stages.1.steps (was 17, is 18)"), std::string::npos) << message;
  EXPECT_EQ(message.find("log.every"), std::string::npos) << message;
  EXPECT_EQ(message.find("keep_last"), std::string::npos) << message;
}

TEST(Resume, KeysThatACheckpointLacksHadTheirDefaults) {
  RunConfig config = tiny_run("somewhere");
  const std::string now = course_of_config(write_config(config));
  auto before = nlohmann::ordered_json::parse(now);
  for (const char* key : {"kind", "momentum", "nesterov", "ns_steps"}) {
    ASSERT_EQ(before["optim"].erase(key), 1u) << key;
  }
  EXPECT_NO_THROW(check_same_course(before.dump(), now));
  config.optim.kind = OptimKind::kMuon;
  const std::string message =
      message_of([&] { check_same_course(before.dump(), course_of_config(write_config(config))); });
  EXPECT_NE(message.find("optim.kind (was \"adamw\", is \"muon\")"), std::string::npos) << message;
}

TEST(Resume, RefusesAnotherDataFileUnderTheSameName) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.model.config->vocab_size = 258;
  config.data.tokenizer = {};
  config.data.tokenizer.type = TokenizerKind::kBytes;
  DatasetConfig pairs;
  pairs.type = DatasetKind::kPairs;
  pairs.name = "stories";
  pairs.path = (folder / "pairs.jsonl").string();
  config.data.train = {pairs};
  config.train.stages[0].segments = IntDistribution::fixed(8);
  config.train.stages[0].accumulate = 1;
  config.train.stages[0].steps = 2;
  config.train.stages.resize(1);
  write_file_atomic(*pairs.path, "{\"article\": \"a long story\", \"summary\": \"short\"}\n");
  run(config);
  EXPECT_EQ(run(config, "auto"), Trainer::End::kFinished);
  write_file_atomic(*pairs.path, "{\"article\": \"a lost story\", \"summary\": \"short\"}\n");
  const std::string message = message_of([&] { run(config, "auto"); });
  EXPECT_NE(message.find("the file of data `stories` must be that of the run"), std::string::npos)
      << message;
}

TEST(Resume, ASavedCourseThatIsNoneIsAnErrorOfItsFile) {
  for (const char* course :
       {"5",
        "[]",
        R"({"data": {"tokenizer": 5}})",
        R"({"data": {"train": [5]}})",
        R"({"train": {"stages": 5}})",
        R"({"engine": 5, "model": []})"}) {
    EXPECT_THROW(check_same_course(course, "{}"), Error) << course;
    EXPECT_THROW(engine_of_course(course), Error) << course;
  }
}

TEST(Resume, RefusesABrokenCheckpointThatWasNamed) {
  const TemporaryFolder folder;
  const RunConfig config = tiny_run(folder / "run");
  run(config);
  const fs::path saved = checkpoint(config, kSteps);
  for (const auto& entry : fs::directory_iterator(saved)) {
    if (entry.path().filename() == "manifest.json") {
      continue;
    }
    flip_bit(entry.path(), fs::file_size(entry.path()) / 2);
    const std::string message = message_of([&] { run(config, saved.string()); });
    EXPECT_NE(message.find(entry.path().filename().string()), std::string::npos) << message;
    flip_bit(entry.path(), fs::file_size(entry.path()) / 2);
  }
}

TEST(Resume, TakesTheCheckpointBeforeABrokenOne) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint.every = 11;
  run(config);
  const std::string expected = hashes(config, kSteps);
  flip_bit(checkpoint(config, kSteps) / "optimizer.safetensors", 1000);
  EXPECT_EQ(run(config, "auto"), Trainer::End::kFinished);
  EXPECT_EQ(hashes(config, kSteps), expected);
}

TEST(Resume, TakesACheckpointWithFilesThatOthersPutThere) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint.every = 11;
  run(config);
  for (const char* name : {".DS_Store", ".nfs00000000012ab", "notes.txt", ".x.tmp-1-0"}) {
    std::ofstream(checkpoint(config, kSteps) / name) << "x";
  }
  EXPECT_EQ(
      find_checkpoint(RunFiles(config.output), "auto")->string(),
      checkpoint(config, kSteps).string());
}

TEST(Resume, PassesOverACheckpointUnderTheNameOfAnotherStep) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint.every = 10;
  run(config);
  fs::remove_all(checkpoint(config, 30));
  fs::rename(checkpoint(config, 20), checkpoint(config, 30));
  EXPECT_EQ(
      find_checkpoint(RunFiles(config.output), "auto")->string(), checkpoint(config, 10).string());
  const std::string message = message_of(
      [&] { find_checkpoint(RunFiles(config.output), checkpoint(config, 30).string()); });
  EXPECT_NE(message.find("name must say the step"), std::string::npos) << message;
}

TEST(Resume, DoesNotGoBackOverACheckpointThatCannotBeRead) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint.every = 11;
  run(config);
  const fs::path file = checkpoint(config, kSteps) / "optimizer.safetensors";
  fs::remove(file);
  fs::create_symlink("optimizer.safetensors", file); // a ring: the system's error, not damage
  EXPECT_THROW(find_checkpoint(RunFiles(config.output), "auto"), IoError);
}

TEST(Resume, GoesOnAfterTheDataMoved) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.stages.resize(1);
  config.train.stages[0].steps = 4;
  config.checkpoint = {.every = 2, .keep_last = 9};
  fs::copy_file(*config.data.tokenizer.path, folder / "vocabulary.txt");
  run(config);
  const std::string expected = hashes(config, 4);
  fs::remove_all(checkpoint(config, 4));
  fs::remove_all(fs::path(config.output) / "final");
  config.data.tokenizer.path = (folder / "vocabulary.txt").string();
  EXPECT_EQ(run(config, "auto"), Trainer::End::kFinished);
  EXPECT_EQ(hashes(config, 4), expected);
}

TEST(Resume, RefusesWhenEveryCheckpointIsBroken) {
  const TemporaryFolder folder;
  const RunConfig config = tiny_run(folder / "run");
  run(config);
  fs::remove(checkpoint(config, kSteps) / "trainer.json");
  EXPECT_THROW(run(config, "auto"), FormatError);
}

TEST(Resume, IsNeededWhereCheckpointsAre) {
  const TemporaryFolder folder;
  const RunConfig config = tiny_run(folder / "run");
  run(config);
  const std::string message = message_of([&] { run(config); });
  EXPECT_NE(message.find("--resume auto"), std::string::npos) << message;
}

TEST(Resume, KeepsTheLastCheckpointsOnly) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint = {.every = 7, .keep_last = 2};
  run(config);
  const RunDirectory directory(config.output);
  EXPECT_EQ(directory.checkpoint_steps(), (std::vector<std::int64_t>{28, 30}));
}

} // namespace
} // namespace fcc
