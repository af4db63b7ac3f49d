#include "fcc/data/pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "data/helpers.h"
#include "data/packing.h"
#include "fcc/core/error.h"
#include "fcc/data/corpus.h"
#include "fcc/io/files.h"
#include "support/places.h"

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

TEST(PairFile, ParquetAsPublishedIsReadAsTheSameJsonLinesAre) {
  const std::string file = source_dir() + "/tests/data/news_pairs.parquet";
  if (!corpus_reads_parquet()) {
    EXPECT_THROW(PairFile{file}, ConfigError);
    return;
  }
  const PairFile pairs(file);
  ASSERT_EQ(pairs.size(), 113);
  for (std::int64_t i = 0; i < pairs.size(); ++i) {
    std::string article = "(CNN) -- Report " + std::to_string(i) + ": gr\u00fc\u00df\n";
    std::string repeated;
    for (std::int64_t k = 0; k <= i * i % 29; ++k) {
      repeated += article;
    }
    EXPECT_EQ(pairs.at(i).article, repeated);
    EXPECT_EQ(pairs.at(i).summary, "Highlight " + std::to_string(i) + " .\nAnother .");
  }
  EXPECT_EQ(PairFile(file, {.prompt = "id", .answer = "article"}).at(7).article, "00007");
  EXPECT_THROW(PairFile(file, {.prompt = "absent"}), FormatError);
}

TEST(PairFile, ParquetWithoutATextIsRefusedByItsRow) {
  if (!corpus_reads_parquet()) {
    return;
  }
  try {
    const PairFile pairs(source_dir() + "/tests/data/news_pairs.parquet", {.answer = "notes"});
    FAIL();
  } catch (const FormatError& error) { // null in row 40
    EXPECT_NE(std::string(error.what()).find("news_pairs.parquet:40"), std::string::npos)
        << error.what();
  }
}

TEST(PairFile, DataAsPublishedIsReadByName) {
  const TemporaryFolder folder;
  write_file_atomic(
      folder / "booksum.jsonl",
      "{\"chapter\": \"c\", \"summary\": \"all of it\", \"summary_text\": \"the text\"}\n");
  EXPECT_EQ(PairFile(folder / "booksum.jsonl").at(0).summary, "the text");
  EXPECT_EQ(PairFile(folder / "booksum.jsonl", {.answer = "summary"}).at(0).summary, "all of it");
  write_file_atomic(
      folder / "own.jsonl",
      "{\"instruction\": \"i\", \"output\": \"o\", \"text\": 3, \"summary\": null}\n");
  const PairFile own(folder / "own.jsonl", {.prompt = "instruction", .answer = "output"});
  EXPECT_EQ(own.at(0).article + own.at(0).summary, "io");
  try {
    const PairFile none(folder / "own.jsonl", {.prompt = "question", .answer = "output"});
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("prompt_key"), std::string::npos) << error.what();
  }
}

TEST(PairFile, PackedRowsEqualPlainOnes) {
  const TemporaryFolder folder;
  const std::string plain = read_file(two_pairs(folder));
  write_file_atomic(folder / "a.jsonl.gz", test::gzip(plain));
  write_file_atomic(folder / "a.jsonl.zst", test::zstd(plain));
  write_file_atomic(folder / "a.json", test::gzip(plain));
  write_file_atomic(folder / "marked.jsonl", "\xef\xbb\xbf" + plain);
  for (const char* name : {"a.jsonl.gz", "a.jsonl.zst", "a.json", "marked.jsonl"}) {
    const PairFile file(folder / name);
    ASSERT_EQ(file.size(), 2) << name;
    EXPECT_EQ(file.at(0).summary, "Past.") << name;
    EXPECT_EQ(file.at(1).article, "Bee") << name;
  }
}

TEST(PairFile, AFileThatIsCutOffWhileItIsOpenIsAnErrorThatNamesIt) {
  const TemporaryFolder folder;
  const PairFile file(two_pairs(folder));
  std::filesystem::resize_file(folder / "pairs.jsonl", 3);
  try {
    file.at(1);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("pairs.jsonl"), std::string::npos) << error.what();
  }
}

TEST(PairTemplate, TakesAnyTextAroundThePrompt) {
  const auto tokenizer = bytes_tokenizer();
  const auto prompt_of = [&](const std::string& text) {
    return tokenizer->decode(PairTemplate(tokenizer, {}, text).fit({"a", "b"}, 100).prompt);
  };
  EXPECT_EQ(prompt_of("{prompt}"), "a");
  EXPECT_EQ(prompt_of("Q: {prompt}\nA: "), "Q: a\nA: ");
  EXPECT_THROW(prompt_of("no place"), ConfigError);
  EXPECT_THROW(prompt_of("{prompt}{prompt}"), ConfigError);
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
  config.shuffle = false;
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

TEST(PairsDataset, EachEpochHasEveryRowOnceInAnOrderOfItsOwn) {
  const TemporaryFolder folder;
  std::string content;
  for (int i = 0; i < 113; ++i) {
    content += "{\"text\": \"" + std::string(static_cast<std::size_t>(i + 1), 'x') +
               "\", \"summary\": \"s\"}\n";
  }
  write_file_atomic(folder / "rows.jsonl", content);
  DatasetConfig config = dataset_of(DatasetKind::kPairs, folder / "rows.jsonl");
  config.prompt_template = "{prompt}";
  const BatchShape shape{.batch_size = 113, .num_segments = 1, .segment_length = 239};
  const auto order_of = [&](Loader& loader) {
    const Batch batch = loader.next(shape);
    std::vector<std::ptrdiff_t> order;
    for (auto row = batch.ids.begin(); row != batch.ids.end(); row += 239) {
      order.push_back(std::count(row, row + 239, 'x') - 1);
    }
    return order;
  };
  Loader loader = make_loader({config}, bytes_tokenizer(), 5);
  const auto first = order_of(loader), second = order_of(loader);
  EXPECT_NE(first, second);
  Loader again = make_loader({config}, bytes_tokenizer(), 5);
  EXPECT_EQ(order_of(again), first);
  std::vector<std::ptrdiff_t> sorted(113);
  std::iota(sorted.begin(), sorted.end(), 0);
  EXPECT_NE(first, sorted);
  for (auto order : {first, second}) {
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, sorted);
  }
  config.shuffle = false;
  Loader plain = make_loader({config}, bytes_tokenizer(), 5);
  EXPECT_EQ(order_of(plain), sorted);
}

TEST(PairsDataset, CountsItsPadding) {
  const TemporaryFolder folder;
  DatasetConfig config = dataset_of(DatasetKind::kPairs, two_pairs(folder));
  config.prompt_template = "{prompt}";
  config.shuffle = false;
  Loader loader = make_loader({config}, bytes_tokenizer(), 0);
  const BatchShape shape{.batch_size = 2, .num_segments = 1, .segment_length = 23};
  // "Long ago." "Past." EOS and "Bee" "Bé" EOS: the last of each is a target only.
  const std::int64_t filled = 9 + 5 + 3 + 3;
  EXPECT_EQ(loader.next(shape).num_padding, 46 - filled);
  EXPECT_NEAR(
      loader.datasets()[0]->padded_share(shape), 1.0 - static_cast<double>(filled) / 46, 1e-12);
}

} // namespace
} // namespace fcc
