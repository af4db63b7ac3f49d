#include "fcc/data/passkey.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "data/helpers.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "support/places.h"

namespace fcc {
namespace {

using test::bytes_tokenizer;
using test::passkey_words_tokenizer;

std::size_t count(const std::string& text, const std::string& piece) {
  std::size_t found = 0;
  for (std::size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) {
    ++found;
  }
  return found;
}

std::shared_ptr<const Tokenizer> tokenizer_named(const std::string& name) {
  if (name == "words") {
    return passkey_words_tokenizer();
  }
  TokenizerConfig config;
  if (name != "bytes") {
    config.path = source_dir() + "/tests/text/data/" + name;
  }
  return make_tokenizer(config);
}

class PasskeyOfEveryTokenizer : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Tokenizer> tokenizer_ = tokenizer_named(GetParam());
};

TEST_P(PasskeyOfEveryTokenizer, IsExactlyAsLongAsAskedForAndTellsTheDigitsTwice) {
  const PasskeyTask task({}, tokenizer_);
  Random random(239);
  for (int trial = 0; trial < 200; ++trial) {
    const std::string digits = make_passkey(task, 5000, 0.0, 7, trial).digits;
    const std::int64_t shortest = task.min_length_tokens(digits);
    const std::int64_t length = shortest + random.below(trial % 2 == 0 ? 113 : 5000);
    const double depth = trial % 5 == 0 ? 1.0 : trial % 5 == 1 ? 0.0 : random.uniform();
    const PasskeySample sample = make_passkey(task, length, depth, 7, trial);
    ASSERT_EQ(static_cast<std::int64_t>(sample.prompt.size() + sample.answer.size()), length);
    const std::string prompt = tokenizer_->decode(sample.prompt);
    EXPECT_EQ(count(prompt, sample.digits), 2U) << prompt;
    EXPECT_EQ(prompt.substr(prompt.size() - 14), "The passkey is");
    EXPECT_TRUE(passkey_matches(task, sample.answer, sample.digits));
    std::vector<std::int32_t> unknown = sample.answer; // a model may have more tokens
    unknown.push_back(static_cast<std::int32_t>(task.tokenizer().vocab_size()));
    EXPECT_FALSE(passkey_matches(task, unknown, sample.digits));
    EXPECT_EQ(sample.digits.size(), 4U);
  }
}

TEST_P(PasskeyOfEveryTokenizer, PutsTheNeedleAtItsDepth) {
  const PasskeyTask task({}, tokenizer_);
  const std::int64_t length = 4096;
  double last = -1.0;
  for (const double depth : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    const PasskeySample sample = make_passkey(task, length, depth, 1, 0);
    const std::string prompt = tokenizer_->decode(sample.prompt);
    const double at =
        static_cast<double>(prompt.find(sample.digits)) / static_cast<double>(prompt.size());
    EXPECT_GT(at, last);
    EXPECT_NEAR(at, depth, 0.08);
    last = at;
  }
}

TEST_P(PasskeyOfEveryTokenizer, AsksForTheTokensThatTheNeedleHas) {
  const PasskeyTask task({}, tokenizer_);
  const PasskeySample sample = make_passkey(task, 1000, 0.5, 1, 0);
  const auto found = std::search(
      sample.prompt.begin(), sample.prompt.end(), sample.answer.begin(), sample.answer.end());
  EXPECT_NE(found, sample.prompt.end());
}

TEST_P(PasskeyOfEveryTokenizer, PutsTheNeedleFirstBeforeTheIntro) {
  const PasskeyTask task({}, tokenizer_);
  const PasskeySample sample = make_passkey(task, 2048, 0.5, 1, 3, NeedlePlace::kFirst);
  const std::string prompt = tokenizer_->decode(sample.prompt);
  EXPECT_LT(prompt.find(sample.digits), 20U);
  EXPECT_LT(prompt.find(sample.digits), prompt.find("critical"));
}

TEST_P(PasskeyOfEveryTokenizer, KeepsRepeatsOfTheFillerWholeWhereAsked) {
  const std::string filler =
      " The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
  DatasetConfig config;
  for (const FillerBlocks blocks : {FillerBlocks::kWholeButFirst, FillerBlocks::kWhole}) {
    config.filler_blocks = blocks;
    const PasskeyTask task(config, tokenizer_);
    Random random(7);
    for (int trial = 0; trial < 60; ++trial) {
      const std::int64_t length = 1000 + random.below(2000);
      const double depth = trial % 3 == 0 ? 1.0 : 0.2 + 0.8 * random.uniform();
      const PasskeySample sample = make_passkey(task, length, depth, 7, trial);
      const auto size = static_cast<std::int64_t>(sample.prompt.size() + sample.answer.size());
      const std::string prompt = tokenizer_->decode(sample.prompt);
      const std::size_t needle = prompt.find("The passkey is"), question = prompt.find("What is");
      const std::size_t needle_end = prompt.find("is the passkey.") + 15;
      if (blocks == FillerBlocks::kWhole) {
        EXPECT_LE(size, length);
        EXPECT_GT(size + 200, length);
        const std::size_t intro_end = prompt.find("recall this information.") + 24;
        EXPECT_EQ((needle - 1 - intro_end) % filler.size(), 0U) << prompt;
      } else {
        EXPECT_EQ(size, length);
        EXPECT_EQ(prompt.substr(needle - 16, 15), "and back again.") << prompt;
      }
      EXPECT_EQ((question - 1 - needle_end) % filler.size(), 0U) << prompt;
    }
  }
}

TEST_P(PasskeyOfEveryTokenizer, LeavesOutTheIntroBeforeItGivesUp) {
  const PasskeyTask task({}, tokenizer_);
  const std::string digits = make_passkey(task, 5000, 0.5, 1, 0).digits;
  const std::int64_t shortest = task.min_length_tokens(digits);
  const PasskeySample sample = make_passkey(task, shortest, 0.5, 1, 0);
  EXPECT_EQ(tokenizer_->decode(sample.prompt).find("critical"), std::string::npos);
  try {
    make_passkey(task, shortest - 1, 0.5, 1, 0);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find(std::to_string(shortest)), std::string::npos);
  }
}

TEST_P(PasskeyOfEveryTokenizer, DigitsDependOnSeedAndIndexAlone) {
  const PasskeyTask task({}, tokenizer_);
  const std::string digits = make_passkey(task, 300, 0.1, 5, 42).digits;
  EXPECT_EQ(make_passkey(task, 999, 0.9, 5, 42).digits, digits);
  std::set<std::string> others;
  for (int i = 0; i < 100; ++i) {
    const std::string drawn = make_passkey(task, 300, 0.1, 5, i).digits;
    EXPECT_NE(drawn.front(), '0');
    others.insert(drawn);
  }
  EXPECT_GT(others.size(), 95U);
}

INSTANTIATE_TEST_SUITE_P(
    Each,
    PasskeyOfEveryTokenizer,
    testing::Values(
        "bytes",
        "words",
        "llama_style.model",
        "unigram.model",
        "bpe/gpt2",
        "bpe/llama3",
        "bpe/smollm2",
        "bpe/tiktoken",
        "bpe/added",
        "bpe/prefix"));

TEST(Passkey, TakesOtherTextsAndCountsOfDigits) {
  DatasetConfig config;
  config.digits = 11;
  config.intro = "";
  config.filler = "x";
  config.needle = "key {key}!";
  config.question = "key? ";
  const PasskeyTask task(config, bytes_tokenizer());
  const PasskeySample sample = make_passkey(task, 60, 0.0, 0, 0);
  EXPECT_EQ(sample.digits.size(), 11U);
  EXPECT_EQ(sample.answer.size(), 11U) << "the question ends with the space";
  const std::string prompt = bytes_tokenizer()->decode(sample.prompt);
  EXPECT_EQ(prompt.rfind(" key " + sample.digits + "! x x", 0), 0U) << prompt;
}

TEST(Passkey, BeginsWithBosWhereAsked) {
  const auto tokenizer = passkey_words_tokenizer();
  const PasskeyTask task({}, tokenizer, true);
  const PasskeySample sample = make_passkey(task, 200, 0.0, 0, 0);
  EXPECT_EQ(sample.prompt.front(), tokenizer->bos_id());
  EXPECT_EQ(std::count(sample.prompt.begin(), sample.prompt.end(), *tokenizer->bos_id()), 1);
}

TEST(Passkey, RefusesTextsThatCannotWork) {
  const auto bytes = bytes_tokenizer();
  DatasetConfig config;
  config.needle = "no place for digits";
  EXPECT_THROW(PasskeyTask(config, bytes), ConfigError);
  config = {};
  config.question = "The passkey is {key}";
  EXPECT_THROW(PasskeyTask(config, bytes), ConfigError);
  config = {};
  config.filler = "";
  EXPECT_THROW(PasskeyTask(config, bytes), ConfigError);
  config = {};
  EXPECT_THROW(PasskeyTask(config, make_words_tokenizer({"<unk>", "the", "1", "2"})), ConfigError)
      << "digits that the vocabulary lacks";
  EXPECT_THROW(make_passkey(PasskeyTask(config, bytes), 999, 1.5, 0, 0), ConfigError);
}

} // namespace
} // namespace fcc
