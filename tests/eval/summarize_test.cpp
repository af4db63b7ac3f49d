#include "fcc/eval/summarize.h"

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

class Summarize : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    std::ofstream file(folder_ / "pairs.jsonl");
    for (int i = 0; i < 5; ++i) {
      const nlohmann::json pair = {
          {"article",
           "article " + std::to_string(i) + std::string(static_cast<std::size_t>(20 * i), 'x')},
          {"summary", "the summary of number " + std::to_string(i)}};
      file << pair.dump() << "\n";
    }
    file.close();
    options_.log = folder_ / "summaries.jsonl";
    options_.identity = {{"model", "m"}};
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
  }
  std::vector<SummaryResult> run(const SummaryFunction& summarize) {
    const PairFile pairs(folder_ / "pairs.jsonl");
    return run_summaries(options_, pairs, PairTemplate(tokenizer_), summarize, nullptr);
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("fcc_summarize_" + std::to_string(::getpid()));
  std::shared_ptr<const Tokenizer> tokenizer_ = make_tokenizer(TokenizerConfig());
  SummarizeOptions options_;
};

TEST_F(Summarize, ScoresEveryPairAndGoesOnWhereItStopped) {
  int calls = 0;
  const SummaryFunction stops = [&](const std::vector<std::int32_t>& prompt, std::int64_t index) {
    EXPECT_NE(
        tokenizer_->decode(prompt).find("article " + std::to_string(index)), std::string::npos);
    if (calls++ == 2) {
      throw Error("a test", "must stop here");
    }
    return "the summary of number " + std::to_string(index);
  };
  EXPECT_THROW(run(stops), Error);
  calls = 10;
  const auto results = run(stops);
  EXPECT_EQ(calls, 13); // two of five were there already
  ASSERT_EQ(results.size(), 5u);
  for (const SummaryResult& result : results) {
    EXPECT_DOUBLE_EQ(result.scores.rouge_l.f1, 1.0);
  }
  options_.identity["model"] = "another";
  EXPECT_THROW(run(stops), ConfigError);
}

TEST_F(Summarize, TheLogHoldsTheReferenceAndScoresOfStemsAreAskedFor) {
  options_.num_pairs = 1;
  const auto inflected = [](const std::vector<std::int32_t>&, std::int64_t) {
    return std::string("summaries of numbers");
  };
  EXPECT_DOUBLE_EQ(run(inflected)[0].scores.rouge_1.f1, 2.0 / 8);
  std::ifstream log(options_.log);
  std::string line;
  std::getline(log, line); // the settings
  std::getline(log, line);
  EXPECT_EQ(nlohmann::json::parse(line).at("reference"), "the summary of number 0");
  EXPECT_EQ(run(inflected)[0].reference, "the summary of number 0");
  options_.rouge.stem = true;
  EXPECT_THROW(run(inflected), ConfigError) << "the log has scores of words";
  options_.log = folder_ / "stems.jsonl";
  EXPECT_DOUBLE_EQ(run(inflected)[0].scores.rouge_1.f1, 6.0 / 8);
}

TEST_F(Summarize, ABrokenCharacterDoesNotStopTheRun) {
  options_.num_pairs = 1;
  const auto broken = [](const std::vector<std::int32_t>&, std::int64_t) {
    return std::string("the \xC3 summary");
  };
  EXPECT_EQ(run(broken).size(), 1u);
  EXPECT_EQ(run(broken)[0].generated, "the \xEF\xBF\xBD summary");
}

SummaryResult result_of(std::int64_t input_tokens, double f1) {
  SummaryResult result;
  result.input_tokens = input_tokens;
  result.scores.rouge_1.f1 = f1;
  return result;
}

TEST(SummaryTable, MeansAreByLengthOfTheInput) {
  const std::vector<SummaryResult> results{
      result_of(0, 0.5), result_of(511, 0.7), result_of(512, 0.2), result_of(9000, 0.1)};
  const Table table = summary_table(results, {512, 1024});
  ASSERT_EQ(table.rows.size(), 4u);
  EXPECT_EQ(table.rows[0][0], "0-512");
  EXPECT_EQ(table.rows[0][1], "2");
  EXPECT_EQ(table.rows[0][2], "0.6000");
  EXPECT_EQ(table.rows[1][2], "0.2000");
  EXPECT_EQ(table.rows[2][0], "1024+");
  EXPECT_EQ(table.rows[3][2], "0.3750");
  EXPECT_THROW(summary_table(results, {512, 512}), Error);
  EXPECT_FALSE(summary_json(results, {512}, "tiny").empty());
}

} // namespace
} // namespace fcc
