#include "fcc/data/pairs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/helpers.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"

namespace fcc {
namespace {

using test::bytes_tokenizer;
using test::dataset_of;
using test::TemporaryFolder;

constexpr const char* kPrompt = "Summarize this text:\nLong ago.\n----Summary:\n";

std::filesystem::path two_pairs(const TemporaryFolder& folder) {
  write_file_atomic(
      folder / "pairs.jsonl",
      "{\"article\": \"Long ago.\", \"summary\": \"Past.\", \"id\": [1, {\"text\": 2}]}\n\n"
      "{\"highlights\": \"B\\u00e9\", \"text\": \"Bee\"}");
  return folder / "pairs.jsonl";
}

TEST(PairFile, ReadsTheNamesOfKnownDataSets) {
  const TemporaryFolder folder;
  const PairFile file(two_pairs(folder));
  ASSERT_EQ(file.size(), 2);
  EXPECT_EQ(file.at(0).article, "Long ago.");
  EXPECT_EQ(file.at(0).summary, "Past.");
  EXPECT_EQ(file.at(1).article, "Bee");
  EXPECT_EQ(file.at(1).summary, "B\u00e9");
}

TEST(PairFile, RefusesBrokenLinesByFileAndLine) {
  const TemporaryFolder folder;
  const std::string good = "{\"article\": \"a\", \"summary\": \"s\"}\n";
  for (const std::string bad :
       {"{\"article\": \"a\"}",
        "{\"article\": \"a\", \"summary\": \"\"}",
        "{\"article\": \"a\", \"text\": \"b\", \"summary\": \"s\"}",
        "{\"article\": \"a\", \"article\": \"b\", \"summary\": \"s\"}",
        "{\"article\": [\"a\"], \"summary\": \"s\"}",
        "{\"article\": 1, \"summary\": \"s\"}",
        "{\"article\": \"a\", \"summary\": \"s\"",
        "{\"article\": \"\xff\", \"summary\": \"s\"}",
        "[1]",
        "3"}) {
    write_file_atomic(folder / "pairs.jsonl", good + bad + "\n" + good);
    try {
      const PairFile file(folder / "pairs.jsonl");
      FAIL() << bad;
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find("pairs.jsonl:2"), std::string::npos) << error.what();
    }
  }
  write_file_atomic(folder / "empty.jsonl", "\n");
  EXPECT_THROW(PairFile(folder / "empty.jsonl"), FormatError);
  EXPECT_THROW(PairFile(folder / "none.jsonl"), IoError);
}

TEST(PairFile, LosesNothingBehindANul) {
  const TemporaryFolder folder;
  const std::string line = "{\"article\": \"a\", \"summary\": \"s\"}";
  write_file_atomic(folder / "pairs.jsonl", line + std::string(3, '\0') + line + "\n");
  EXPECT_THROW(PairFile(folder / "pairs.jsonl"), FormatError);
}

TEST(PairTemplate, CutsTheArticleFirstThenTheSummary) {
  const auto tokenizer = bytes_tokenizer();
  const PairTemplate prompt(tokenizer);
  const Pair pair{"Long ago.", "Past."};
  const auto text = [&](const std::vector<std::int32_t>& ids) { return tokenizer->decode(ids); };
  PairSample sample = prompt.fit(pair, 1000);
  EXPECT_EQ(text(sample.prompt), kPrompt);
  EXPECT_EQ(text(sample.answer), "Past.");
  EXPECT_EQ(sample.answer.back(), tokenizer->eos_id());
  const auto whole = static_cast<std::int64_t>(sample.prompt.size() + sample.answer.size());
  sample = prompt.fit(pair, whole - 5);
  EXPECT_EQ(text(sample.prompt), "Summarize this text:\nLong\n----Summary:\n");
  EXPECT_EQ(text(sample.answer), "Past.");
  sample = prompt.fit(pair, whole - 9 - 3);
  EXPECT_EQ(text(sample.prompt), "Summarize this text:\n\n----Summary:\n");
  EXPECT_EQ(text(sample.answer), "Pas");
  EXPECT_EQ(prompt.fit(pair, whole - 9 - 5).answer.size(), 1U);
  EXPECT_THROW(prompt.fit(pair, whole - 9 - 6), ConfigError);
}

TEST(PairsDataset, CountsTheSummaryOrEverything) {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_tokenizer();
  const auto prompt_size = static_cast<std::ptrdiff_t>(tokenizer->encode(kPrompt).size());
  DatasetConfig config = dataset_of(DatasetKind::kPairs, two_pairs(folder));
  config.context_weight = 0.25;
  const BatchShape shape{.batch_size = 3, .num_segments = 3, .segment_length = 23};
  Loader all = make_loader({config}, tokenizer, 0);
  const Batch batch = all.next(shape);
  for (std::ptrdiff_t i = 0; i < 69; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const bool answer = i >= prompt_size - 1 && i < prompt_size + 5;
    const bool padded = i >= prompt_size + 5;
    EXPECT_EQ(batch.answer[at], answer ? 1 : 0);
    EXPECT_EQ(batch.target_weights[at], padded ? 0.0F : answer ? 1.0F : 0.25F);
    EXPECT_EQ(batch.targets[at] == kIgnoredTarget, padded);
    if (i < prompt_size + 4) {
      EXPECT_EQ(batch.targets[at], batch.ids[at + 1]);
    }
  }
  EXPECT_EQ(batch.targets[static_cast<std::size_t>(prompt_size + 4)], tokenizer->eos_id());
  EXPECT_TRUE(std::equal(batch.ids.begin(), batch.ids.begin() + 69, batch.ids.begin() + 138))
      << "the third row is the first again";
  EXPECT_NEAR(all.datasets()[0]->epochs(3), 1.5, 1e-12);

  config.loss_on = LossOn::kAnswer;
  Loader answers = make_loader({config}, tokenizer, 0);
  const Batch counted = answers.next(shape);
  EXPECT_EQ(counted.ids, batch.ids);
  for (std::size_t i = 0; i < counted.ids.size(); ++i) {
    EXPECT_EQ(counted.targets[i] != kIgnoredTarget, counted.answer[i] == 1);
  }
}

} // namespace
} // namespace fcc
