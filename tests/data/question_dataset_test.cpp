#include <map>
#include <regex>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "data/datasets.h"
#include "fcc/core/error.h"
#include "fcc/data/loader.h"
#include "fcc/text/tokenizer.h"
#include "text/bytes_tokenizer.h"

namespace fcc {
namespace {

DatasetConfig config_of(std::int64_t keys, std::int64_t questions) {
  DatasetConfig config;
  config.type = DatasetKind::kPasskey;
  config.keys = IntDistribution::fixed(keys);
  config.questions = IntDistribution::fixed(questions);
  config.loss_on = LossOn::kAnswer;
  config.digits = 5;
  return config;
}

std::unique_ptr<Dataset> make(const DatasetConfig& config, std::uint64_t seed = 3) {
  return make_question_dataset(config, "keys", std::make_shared<BytesTokenizer>(), seed, {});
}

Batch empty_batch(std::int64_t segments, std::int64_t length) {
  Batch batch;
  batch.shape = {
      .batch_size = 1,
      .num_segments = segments,
      .num_prefix_segments = 0,
      .segment_length = length};
  const auto tokens = static_cast<std::size_t>(segments * length);
  batch.ids.assign(tokens, 0);
  batch.targets.assign(tokens, kIgnoredTarget);
  batch.target_weights.assign(tokens, 0.0F);
  batch.answer.assign(tokens, 0);
  batch.segment_starts_document.assign(static_cast<std::size_t>(segments), 0);
  return batch;
}

std::string text_of(const Batch& batch) {
  return BytesTokenizer().decode(batch.ids);
}

TEST(QuestionDataset, EveryQuestionIsAnsweredByTheKeyOfItsNameWhichStandsBeforeIt) {
  const auto dataset = make(config_of(4, 9));
  std::set<std::size_t> places; // of answers in their segments
  for (std::int64_t position = 0; position < 20; ++position) {
    Batch batch = empty_batch(20, 113);
    EXPECT_EQ(dataset->fill(batch, 0, position), position + 1);
    const std::string text = text_of(batch);
    ASSERT_EQ(text.size(), batch.ids.size());
    const std::regex event(
        "The passkey of the ([a-z]+) is ([0-9]{5})\\.|"
        "What is the passkey of the ([a-z]+)\\? It is ([0-9]{5})");
    std::map<std::string, std::string> keys;
    std::size_t num_questions = 0, num_answer_bytes = 0;
    for (std::sregex_iterator at(text.begin(), text.end(), event), end; at != end; ++at) {
      if ((*at)[1].matched) {
        EXPECT_TRUE(keys.emplace((*at)[1], (*at)[2]).second) << text;
      } else {
        EXPECT_EQ(keys[(*at)[3]], (*at)[4]) << text;
        const auto answer = static_cast<std::size_t>(at->position(4));
        for (std::size_t i = answer - 1; i < answer + 5; ++i) { // with its space
          EXPECT_EQ(batch.answer[i - 1], 1) << i;
          EXPECT_EQ(batch.targets[i - 1], batch.ids[i]);
        }
        places.insert(answer % 113);
        ++num_questions;
      }
    }
    for (const std::uint8_t answer : batch.answer) {
      num_answer_bytes += answer;
    }
    EXPECT_EQ(keys.size(), 4U);
    EXPECT_EQ(num_questions, 9U);
    EXPECT_EQ(num_answer_bytes, 9U * 6U);
  }
  EXPECT_GT(places.size(), 60U);
}

TEST(QuestionDataset, ARowDependsOnItsSeedAndPositionAlone) {
  const auto first = make(config_of(3, 3)), again = make(config_of(3, 3)),
             other = make(config_of(3, 3), 4);
  Batch a = empty_batch(8, 113), b = empty_batch(8, 113), c = empty_batch(8, 113);
  first->fill(a, 0, 0);
  first->fill(a, 0, 7);
  again->fill(b, 0, 7);
  other->fill(c, 0, 7);
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_NE(a.ids, c.ids);
}

TEST(QuestionDataset, SeveralKeysNeedNamesAndARowThatIsTooShortSaysWhatItNeeds) {
  DatasetConfig unnamed = config_of(2, 1);
  PasskeyWording wording;
  wording.needle = "The key is {key}.";
  wording.question = "What is the key?";
  unnamed.wordings = std::vector<PasskeyWording>(1, wording);
  EXPECT_THROW(make(unnamed), ConfigError);
  unnamed.keys = IntDistribution::fixed(1);
  EXPECT_NO_THROW(make(unnamed));
  Batch batch = empty_batch(1, 64);
  EXPECT_THROW(make(config_of(4, 9))->fill(batch, 0, 0), ConfigError);
}

} // namespace
} // namespace fcc
