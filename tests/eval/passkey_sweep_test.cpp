#include "fcc/eval/passkey_sweep.h"
#include "eval/pictures.h"

#include <unistd.h>

#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

using Rows = std::vector<std::vector<std::int32_t>>;

struct Killed {};

class PasskeySweep : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("fcc_passkey_sweep_" + std::to_string(::getpid()) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    options_ = {
        .lengths_tokens = {239, 400},
        .depths = {0.0, 0.5, 1.0},
        .trials = 7,
        .batch_size = 3,
        .seed = 11,
        .log = folder_ / "cells.jsonl",
        .identity = {{"model", "m"}}};
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
  }

  // Reads the digits out of the prompt, but only within the last `reach` characters.
  Rows answer(const Rows& prompts, std::int64_t num_tokens, std::size_t reach) const {
    Rows answers;
    for (const auto& prompt : prompts) {
      std::string text = tokenizer_->decode(prompt);
      text = text.substr(text.size() - std::min(reach, text.size()));
      const std::string needle = "The passkey is ";
      const std::size_t at = text.find(needle);
      std::string said = " ";
      said.append(at == std::string::npos ? "0000" : text.substr(at + needle.size(), 4));
      answers.push_back(tokenizer_->encode(said));
      answers.back().resize(static_cast<std::size_t>(num_tokens));
    }
    return answers;
  }
  AnswerFunction answerer(std::size_t reach) const {
    return [this, reach](const Rows& prompts, std::int64_t num_tokens) {
      EXPECT_LE(prompts.size(), 3u);
      return answer(prompts, num_tokens, reach);
    };
  }

  std::filesystem::path folder_;
  PasskeySweepOptions options_;
  std::shared_ptr<const Tokenizer> tokenizer_ = make_tokenizer(TokenizerConfig());
  std::unique_ptr<Task> made_ = make_task(task_config("passkey"), tokenizer_, /*add_bos=*/false);
  const Task& task_ = *made_;
};

std::vector<std::int64_t> correct_of(const std::vector<PasskeyCell>& cells) {
  std::vector<std::int64_t> correct;
  for (const PasskeyCell& cell : cells) {
    correct.push_back(cell.correct);
  }
  return correct;
}

TEST_F(PasskeySweep, CountsExactAnswersByLengthAndDepth) {
  const auto all = run_passkey_sweep(
      options_, task_, answerer(std::numeric_limits<std::size_t>::max()), nullptr);
  EXPECT_EQ(correct_of(all), (std::vector<std::int64_t>{7, 7, 7, 7, 7, 7}));
  options_.log = folder_ / "near.jsonl";
  const auto near = run_passkey_sweep(options_, task_, answerer(150), nullptr);
  EXPECT_EQ(near[3].correct, 0); // length 400, depth 0: too far back
  EXPECT_EQ(near[5].correct, 7); // depth 1: near the end
}

TEST_F(PasskeySweep, KilledAfterAnyCellItEndsLikeOneThatWasNot) {
  const auto whole = run_passkey_sweep(options_, task_, answerer(250), nullptr);
  for (int survived = 0; survived < 6; ++survived) {
    options_.log = folder_ / ("killed_" + std::to_string(survived) + ".jsonl");
    int calls = 0;
    const AnswerFunction dies = [&](const Rows& prompts, std::int64_t num_tokens) {
      if (calls++ == survived * 3 + 1) { // each cell takes three batches
        throw Killed{};
      }
      return answer(prompts, num_tokens, 250);
    };
    EXPECT_THROW(run_passkey_sweep(options_, task_, dies, nullptr), Killed);
    calls = 0;
    const AnswerFunction counts = [&](const Rows& prompts, std::int64_t num_tokens) {
      ++calls;
      return answer(prompts, num_tokens, 250);
    };
    const auto resumed = run_passkey_sweep(options_, task_, counts, nullptr);
    EXPECT_EQ(correct_of(resumed), correct_of(whole));
    EXPECT_EQ(calls, (6 - survived) * 3);
  }
}

TEST_F(PasskeySweep, DrawsLengthsAroundEachWhereAskedAndNeverAMultipleOfTheSegment) {
  options_.spread_tokens = 32;
  options_.off_multiples_of = 32;
  options_.trials = 40;
  std::set<std::size_t> lengths;
  const AnswerFunction notes = [&](const Rows& prompts, std::int64_t num_tokens) {
    for (const auto& prompt : prompts) {
      lengths.insert(prompt.size() + static_cast<std::size_t>(num_tokens));
    }
    return answer(prompts, num_tokens, std::numeric_limits<std::size_t>::max());
  };
  const auto cells = run_passkey_sweep(options_, task_, notes, nullptr);
  EXPECT_EQ(correct_of(cells), std::vector<std::int64_t>(6, 40));
  EXPECT_GT(lengths.size(), 80u);
  for (const std::size_t length : lengths) {
    EXPECT_NE(length % 32, 0u);
    EXPECT_TRUE((length >= 207 && length <= 271) || (length >= 368 && length <= 432)) << length;
  }
  options_.spread_tokens = 0; // another sweep: not one log with it
  EXPECT_THROW(run_passkey_sweep(options_, task_, notes, nullptr), ConfigError);
  options_.spread_tokens = -1;
  EXPECT_THROW(run_passkey_sweep(options_, task_, notes, nullptr), ConfigError);
}

TEST_F(PasskeySweep, LengthsAndDepthsMayBeAddedButNotOtherSettings) {
  run_passkey_sweep(options_, task_, answerer(250), nullptr);
  PasskeySweepOptions more = options_;
  more.lengths_tokens = {500, 239};
  std::size_t cells = 0;
  run_passkey_sweep(
      more, task_, answerer(250), [&](const PasskeyCell&, std::size_t, std::size_t all) {
        EXPECT_EQ(all, 6u);
        ++cells;
      });
  EXPECT_EQ(cells, 6u);
  more.identity["model"] = "another";
  EXPECT_THROW(run_passkey_sweep(more, task_, answerer(250), nullptr), ConfigError);
  more = options_;
  more.seed = 12;
  EXPECT_THROW(run_passkey_sweep(more, task_, answerer(250), nullptr), ConfigError);
}

TEST_F(PasskeySweep, RefusesOptionsOutOfRangeBeforeAnythingIsWritten) {
  const auto refused = [&](PasskeySweepOptions options) {
    EXPECT_THROW(run_passkey_sweep(options, task_, answerer(1), nullptr), ConfigError);
    EXPECT_FALSE(std::filesystem::exists(options.log));
  };
  PasskeySweepOptions options = options_;
  options.lengths_tokens.clear();
  refused(options);
  options = options_;
  options.lengths_tokens = {0};
  refused(options);
  options.lengths_tokens = {500, 3}; // too short for the task
  refused(options);
  options = options_;
  options.depths = {1.5};
  refused(options);
  options = options_;
  options.trials = 0;
  refused(options);
  options = options_;
  options.batch_size = 0;
  refused(options);
}

const std::vector<PasskeyCell> kCells{
    {.length_tokens = 64, .depth = 0.0, .trials = 20, .correct = 20},
    {.length_tokens = 64, .depth = 1.0, .trials = 20, .correct = 19},
    {.length_tokens = 256, .depth = 0.0, .trials = 20, .correct = 1},
    {.length_tokens = 256, .depth = 1.0, .trials = 20, .correct = 10}};

TEST(PasskeyReport, TableShowsSegmentsWhereLengthsAreWholeSegments) {
  const Table table = passkey_table(kCells, {.model = "tiny", .segment_length = 32});
  EXPECT_EQ(
      table.header,
      (std::vector<std::string>{
          "segments", "tokens", "depth 0 %", "depth 100 %", "mean", "95 % interval"}));
  EXPECT_EQ(
      table.rows[0],
      (std::vector<std::string>{"2", "64", "100.0 %", "95.0 %", "97.5 %", "87.1-99.6 %"}));
  EXPECT_EQ(
      table.rows[1],
      (std::vector<std::string>{"8", "256", "5.0 %", "50.0 %", "27.5 %", "16.1-42.8 %"}));
  EXPECT_EQ(passkey_table(kCells, {.model = "tiny", .segment_length = 60}).header[0], "tokens");
}

TEST(PasskeyReport, IntervalsHoldTheShareThatWasSeenAndShrinkWithTrials) {
  for (const std::int64_t trials : {1, 20, 400}) {
    for (const std::int64_t correct : {std::int64_t{0}, trials / 2, trials}) {
      const Interval interval = wilson_interval(correct, trials);
      const double share = static_cast<double>(correct) / static_cast<double>(trials);
      EXPECT_GE(interval.low, 0.0);
      EXPECT_LE(interval.low, share);
      EXPECT_GE(interval.high, share);
      EXPECT_LE(interval.high, 1.0);
    }
  }
  // Ten of twenty, by the formula's tables: 0.299 to 0.701.
  EXPECT_NEAR(wilson_interval(10, 20).low, 0.2993, 1e-4);
  EXPECT_NEAR(wilson_interval(10, 20).high, 0.7007, 1e-4);
  EXPECT_GT(wilson_interval(400, 400).low, 0.99);
}

TEST(PasskeyReport, HeatMapMarksTheTrainedLength) {
  const HeatMap map = passkey_heat_map(
      kCells, {.model = "tiny", .segment_length = 32, .trained_length_tokens = 128});
  EXPECT_EQ(map.columns, (std::vector<std::string>{"2", "8"}));
  EXPECT_EQ(map.rows, (std::vector<std::string>{"0 %", "100 %"}));
  EXPECT_EQ(map.values, (std::vector<double>{1.0, 0.05, 0.95, 0.5}));
  EXPECT_EQ(map.mark_after_columns, 1u);
  EXPECT_EQ(map.mark_label, "trained through 4");
  EXPECT_FALSE(heat_map_svg(map).empty());
}

TEST(PasskeyReport, JsonAndCsvHoldEveryCell) {
  const PasskeyReportOptions options{.model = "tiny", .segment_length = 32};
  PasskeySweepOptions sweep;
  sweep.identity = {{"dtype", "float32"}};
  const auto json = nlohmann::json::parse(passkey_json(kCells, sweep, options));
  EXPECT_EQ(json.at("cells").size(), 4u);
  EXPECT_EQ(json.at("cells")[1].at("accuracy"), 0.95);
  EXPECT_EQ(json.at("mean_by_length")[0].at("accuracy"), 0.975);
  EXPECT_EQ(json.at("settings").at("dtype"), "float32");
  const std::string csv = table_csv(passkey_cell_table(kCells, options));
  EXPECT_NE(csv.find("\n256,8,1.0000,20,10,0.500000,"), std::string::npos) << csv;
}

} // namespace
} // namespace fcc
