#include "fcc/data/recall.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "data/helpers.h"
#include "data/recall_facts.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/data/loader.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

using test::bytes_tokenizer;

DatasetConfig recall_config() {
  DatasetConfig config;
  config.type = DatasetKind::kRecall;
  config.keys = {.kind = IntDistribution::Kind::kUniform, .values = {1, 4}};
  config.questions = {.kind = IntDistribution::Kind::kUniform, .values = {1, 5}};
  config.first_share = 0.2;
  return config;
}

std::string text_of(const RecallRow& row, std::size_t from, std::size_t to) {
  return bytes_tokenizer()->decode(
      std::vector<std::int32_t>(row.ids.begin() + from, row.ids.begin() + to));
}

class RecallOf : public testing::TestWithParam<double> {};

INSTANTIATE_TEST_SUITE_P(ComposedShare, RecallOf, testing::Values(0.0, 0.5, 1.0));

TEST_P(RecallOf, EveryAnswerWasToldBeforeItsQuestionAndNoneIsLeftOfTheGradedPart) {
  DatasetConfig config = recall_config();
  config.composed_share = GetParam();
  const RecallTask task(config, bytes_tokenizer(), nullptr, /*add_bos=*/false);
  std::int64_t answers = 0, off_the_grid = 0;
  for (std::uint64_t i = 0; i < 60; ++i) {
    Random random(3, i);
    const RecallRow row = task.make({.length_tokens = 1130, .first_graded_token = 339}, random);
    ASSERT_EQ(row.ids.size(), 1131U);
    ASSERT_EQ(row.answer.size(), 1131U);
    std::int64_t in_row = 0;
    for (std::size_t at = 1; at < row.ids.size(); ++at) {
      if (row.answer[at] == 0 || row.answer[at - 1] != 0) {
        continue;
      }
      std::size_t end = at;
      while (end < row.ids.size() && row.answer[end] != 0) {
        ++end;
      }
      const std::string value = text_of(row, at + 1, end); // behind its space
      EXPECT_NE(text_of(row, 0, at).find(value), std::string::npos) << value;
      EXPECT_GT(at, 250U) << "the filler before the graded part is shorter than its share";
      off_the_grid += at % 113 != 0 ? 1 : 0;
      ++in_row;
    }
    EXPECT_GE(in_row, 1);
    answers += in_row;
  }
  EXPECT_GT(answers, 120);
  EXPECT_GT(off_the_grid, answers * 9 / 10);
}

TEST(Recall, ComposedFactsTellTheirValueAskWithoutItAndHardlyReadAlike) {
  std::set<std::string> questions;
  std::size_t longest = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    Random random(11, i);
    const RecallFact fact = compose_recall_fact(random);
    ASSERT_FALSE(fact.value.empty());
    EXPECT_NE(fact.told.find(fact.value), std::string::npos) << fact.told;
    // A name asked for may be drawn again elsewhere; a number of five digits hardly.
    if (fact.value.size() >= 5 && fact.value.find_first_not_of("0123456789") == std::string::npos) {
      EXPECT_EQ(fact.question.find(fact.value), std::string::npos) << fact.question;
    }
    EXPECT_EQ(fact.told.find('{'), std::string::npos) << fact.told;
    questions.insert(fact.question);
    longest = std::max(longest, fact.value.size());
  }
  EXPECT_GT(questions.size(), 1950U);
  EXPECT_GE(longest, 36U) << "as long as a UUID";
}

TEST(Recall, ComposedFactsAreDrawnSoThatTheyFitIntoShortRows) {
  DatasetConfig config = recall_config();
  config.composed_share = 1.0;
  const RecallTask task(config, bytes_tokenizer(), nullptr, /*add_bos=*/false);
  for (std::uint64_t i = 0; i < 300; ++i) {
    Random random(5, i);
    const RecallRow row = task.make({.length_tokens = 250}, random);
    ASSERT_EQ(row.ids.size(), 251U);
    EXPECT_NE(std::count(row.answer.begin(), row.answer.end(), 1), 0);
  }
}

TEST(Recall, RowsFollowFromSeedAndPositionAlone) {
  const BatchShape shape{
      .batch_size = 2, .num_segments = 3, .num_prefix_segments = 1, .segment_length = 239};
  Loader first = make_loader({recall_config()}, bytes_tokenizer(), 7);
  const Batch one = first.next(shape), two = first.next(shape);
  EXPECT_NE(one.ids, two.ids);
  Loader again = make_loader({recall_config()}, bytes_tokenizer(), 7);
  EXPECT_EQ(again.next(shape).ids, one.ids);
  Loader resumed = make_loader({recall_config()}, bytes_tokenizer(), 7);
  resumed.restore({.positions = {2}, .rows_drawn = 2});
  EXPECT_EQ(resumed.next(shape).ids, two.ids);
}

TEST(Recall, ARowTooShortForOneFactIsRefusedWithItsLength) {
  const RecallTask task(recall_config(), bytes_tokenizer(), nullptr, /*add_bos=*/false);
  Random random(1);
  try {
    task.make({.length_tokens = 17}, random);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("17 tokens"), std::string::npos) << error.what();
  }
}

} // namespace
} // namespace fcc
