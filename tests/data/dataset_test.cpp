#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "data/helpers.h"
#include "fcc/core/error.h"
#include "fcc/data/loader.h"
#include "fcc/data/task.h"

namespace fcc {
namespace {

using test::bytes_tokenizer;
using test::counting_documents;
using test::dataset_of;
using test::passkey_words_tokenizer;
using test::TemporaryFolder;
using test::write_tokens;

Batch one_row(const DatasetConfig& config, BatchShape shape, std::int64_t position = 0) {
  Loader loader = make_loader({config}, bytes_tokenizer(), 17);
  loader.restore({.positions = {position}, .rows_drawn = 0});
  return loader.next(shape);
}

TEST(TokensDataset, TargetsAreTheNextTokensAlsoAcrossRowsAndTheEnd) {
  const TemporaryFolder folder;
  const auto documents = counting_documents({5, 100, 8});
  const auto path = write_tokens(folder, documents, *bytes_tokenizer());
  Loader loader = make_loader({dataset_of(DatasetKind::kTokens, path)}, bytes_tokenizer(), 0);
  std::int64_t position = 0;
  for (int step = 0; step < 10; ++step) {
    const Batch batch = loader.next({.batch_size = 2, .num_segments = 3, .segment_length = 7});
    for (std::size_t i = 0; i < batch.ids.size(); ++i, ++position) {
      EXPECT_EQ(batch.ids[i], position % 113);
      EXPECT_EQ(batch.targets[i], (position + 1) % 113);
      EXPECT_EQ(batch.target_weights[i], 1.0F);
    }
    EXPECT_EQ(
        std::count(batch.segment_starts_document.begin(), batch.segment_starts_document.end(), 1),
        0);
  }
  EXPECT_NEAR(loader.datasets()[0]->epochs(loader.state().positions[0]), 420.0 / 113.0, 1e-12);
  EXPECT_EQ(loader.datasets()[0]->padded_share({.num_segments = 1, .segment_length = 8}), 0.0);
}

TEST(TokensDataset, IsReadAroundTheEndEvenIfARowIsLongerThanTheFile) {
  const TemporaryFolder folder;
  const auto path = write_tokens(folder, counting_documents({5}), *bytes_tokenizer());
  const Batch batch =
      one_row(dataset_of(DatasetKind::kTokens, path), {.num_segments = 3, .segment_length = 7}, 3);
  for (std::size_t i = 0; i < batch.ids.size(); ++i) {
    EXPECT_EQ(batch.ids[i], static_cast<std::int32_t>((i + 3) % 5));
  }
}

TEST(ResetDataset, StartsDocumentsOnSegmentBordersAndNeverLooksAcrossTheirEnds) {
  const TemporaryFolder folder;
  const std::vector<std::int64_t> lengths{5, 8, 1, 19, 4, 3};
  const auto path = write_tokens(folder, counting_documents(lengths), *bytes_tokenizer());
  DatasetConfig config = dataset_of(DatasetKind::kTokens, path);
  config.document_memory = DocumentMemory::kReset;
  Loader loader = make_loader({config}, bytes_tokenizer(), 0);

  // The ids count up over the whole file: id + 1 is the next token, unless the document ends.
  std::vector<std::int64_t> ends(lengths.size());
  std::partial_sum(lengths.begin(), lengths.end(), ends.begin());
  const std::int64_t total = ends.back(), segment_length = 4;
  std::int64_t expected = 0, num_padded = 0, num_ids = 0;
  for (int step = 0; step < 40; ++step) {
    const BatchShape shape{
        .batch_size = 1, .num_segments = 1 + step % 5, .segment_length = segment_length};
    const Batch batch = loader.next(shape);
    const std::int64_t padded_before = num_padded;
    for (std::int64_t s = 0; s < shape.num_segments; ++s) {
      const bool starts_here =
          expected == 0 || std::find(ends.begin(), ends.end(), expected) != ends.end();
      EXPECT_EQ(batch.segment_starts_document[static_cast<std::size_t>(s)], starts_here ? 1 : 0);
      bool ended = false;
      for (std::int64_t i = 0; i < segment_length; ++i) {
        const auto at = static_cast<std::size_t>(s * segment_length + i);
        ++num_ids;
        if (ended) {
          EXPECT_EQ(batch.targets[at], kIgnoredTarget);
          EXPECT_EQ(batch.target_weights[at], 0.0F);
          ++num_padded;
          continue;
        }
        EXPECT_EQ(batch.ids[at], expected);
        ended = std::find(ends.begin(), ends.end(), expected + 1) != ends.end();
        EXPECT_EQ(batch.targets[at], ended ? kIgnoredTarget : expected + 1);
        expected = (expected + 1) % total;
      }
    }
    EXPECT_EQ(loader.state().positions[0] % total, expected);
    EXPECT_EQ(batch.num_padding, num_padded - padded_before);
  }
  const double share = loader.datasets()[0]->padded_share({.num_segments = 1, .segment_length = 4});
  EXPECT_NEAR(share, 1.0 - 40.0 / 48.0, 1e-12);
  EXPECT_NEAR(static_cast<double>(num_padded) / static_cast<double>(num_ids), share, 0.02);
}

TEST(DocumentsDataset, GivesOneDocumentARowCutOrPadded) {
  const TemporaryFolder folder;
  const auto path = write_tokens(folder, counting_documents({5, 1, 100, 12}), *bytes_tokenizer());
  const DatasetConfig config = dataset_of(DatasetKind::kDocuments, path);
  Loader loader = make_loader({config}, bytes_tokenizer(), 0);
  const BatchShape shape{.batch_size = 3, .num_segments = 3, .segment_length = 4};
  const Batch batch = loader.next(shape);
  const std::vector<std::int32_t> first(batch.targets.begin(), batch.targets.begin() + 6);
  EXPECT_EQ(first, (std::vector<std::int32_t>{1, 2, 3, 4, kIgnoredTarget, kIgnoredTarget}));
  EXPECT_EQ(batch.ids[12], 6) << "the document of one token is passed over";
  EXPECT_EQ(batch.targets[23], 18) << "a cut document still has its last target";
  EXPECT_EQ(batch.ids[24], 106);
  EXPECT_EQ(batch.targets[34], 117);
  EXPECT_EQ(batch.targets[35], kIgnoredTarget);
  EXPECT_NEAR(loader.datasets()[0]->epochs(3), 1.0, 1e-12);
  EXPECT_NEAR(loader.datasets()[0]->padded_share(shape), 7.0 / 36.0, 1e-12);
  EXPECT_EQ(batch.num_padding, 7);
}

TEST(PasskeyDataset, FillsTheRowExactlyAndFlagsTheAnswer) {
  const auto tokenizer = passkey_words_tokenizer();
  DatasetConfig config = dataset_of(DatasetKind::kPasskey);
  config.context_weight = 0.05;
  config.answer_weight = 2.0;
  Loader loader = make_loader({config}, tokenizer, 4);
  const BatchShape shape{
      .batch_size = 5, .num_segments = 3, .num_prefix_segments = 4, .segment_length = 32};
  const Batch batch = loader.next(shape);
  const auto length = static_cast<std::size_t>(shape.length_tokens());
  ASSERT_EQ(batch.ids.size(), 5 * length);
  for (std::size_t row = 0; row < 5; ++row) {
    for (std::size_t i = 0; i < length; ++i) {
      const std::size_t at = row * length + i;
      const bool is_answer = i >= length - 5 && i < length - 1;
      EXPECT_EQ(batch.answer[at], is_answer ? 1 : 0);
      EXPECT_EQ(batch.target_weights[at], is_answer ? 2.0F : 0.05F);
      EXPECT_EQ(batch.targets[at], i + 1 < length ? batch.ids[at + 1] : *tokenizer->eos_id());
    }
  }
}

TEST(PasskeyDataset, CountsTheAnswerOnlyWhereAsked) {
  DatasetConfig config = dataset_of(DatasetKind::kPasskey);
  config.loss_on = LossOn::kAnswer;
  const Batch batch = one_row(config, {.num_segments = 4, .segment_length = 113});
  std::string counted;
  for (std::size_t i = 0; i < batch.ids.size(); ++i) {
    EXPECT_EQ(batch.answer[i] == 1, batch.targets[i] != kIgnoredTarget);
    EXPECT_EQ(batch.target_weights[i], batch.answer[i] == 1 ? 1.0F : 0.0F);
    if (batch.answer[i] == 1) {
      counted += bytes_tokenizer()->decode(std::vector<std::int32_t>{batch.targets[i]});
    }
  }
  ASSERT_EQ(counted.size(), 5U);
  const std::string text = bytes_tokenizer()->decode(batch.ids);
  EXPECT_NE(text.find("The passkey is" + counted + ". Remember"), std::string::npos);
}

TEST(PasskeyDataset, OfFreeLengthAsksOnEveryTokenOfTheLastSegment) {
  DatasetConfig config = dataset_of(DatasetKind::kPasskey);
  config.length = RowLength::kFree;
  config.loss_on = LossOn::kAnswer;
  Loader loader = make_loader({config}, bytes_tokenizer(), 4);
  const BatchShape shape{.batch_size = 600, .num_segments = 5, .segment_length = 41};
  const Batch batch = loader.next(shape);
  std::vector<int> ends(41, 0);
  std::int64_t padding = 0;
  for (std::size_t row = 0; row < 600; ++row) {
    const auto begin = batch.answer.begin() + static_cast<std::ptrdiff_t>(row * 205);
    EXPECT_EQ(std::count(begin, begin + 205, 1), 5) << "a space and four digits";
    std::size_t last = 204;
    while (batch.answer[row * 205 + last] == 0) {
      --last;
    }
    const std::size_t end = last + 1; // the answer's last token
    ASSERT_GE(end, 164U) << "in the last segment";
    ++ends[end - 164];
    for (std::size_t i = end; i < 205; ++i) {
      EXPECT_EQ(batch.target_weights[row * 205 + i], 0.0F);
    }
    padding += static_cast<std::int64_t>(204 - end);
  }
  EXPECT_EQ(std::count(ends.begin(), ends.end(), 0), 0) << "each place is drawn";
  EXPECT_EQ(batch.num_padding, padding);
  EXPECT_NEAR(
      loader.datasets()[0]->padded_share(shape), static_cast<double>(padding) / 600 / 205, 0.01);
}

TEST(PasskeyDataset, WithoutAnEosRefusesToEndRowsWithOneNamingTheKey) {
  const auto without = make_words_tokenizer(
      {"<unk>", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "The", "passkey", "is", "."});
  try {
    make_loader({dataset_of(DatasetKind::kPasskey)}, without, 0);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("data.tokenizer.add_eos"), std::string::npos);
  }
  make_loader({dataset_of(DatasetKind::kPasskey)}, without, 0, {.eos = false});
}

TEST(TaskDataset, TrainsOnEveryTaskByItsName) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += "In year " + std::to_string(i) + " nothing of note was seen there.\n";
  }
  const auto path = write_tokens(folder, {bytes_tokenizer()->encode(text)}, *bytes_tokenizer());
  for (const std::string& name : task_names()) {
    DatasetConfig config = dataset_of(DatasetKind::kTask);
    if (name != "passkey") {
      config.path = path;
    }
    config.task = name;
    config.length = RowLength::kFree;
    config.loss_on = LossOn::kAnswer;
    Loader loader = make_loader({config}, bytes_tokenizer(), 4, {.bos = false, .eos = true});
    EXPECT_EQ(loader.datasets()[0]->name(), name + "_0");
    const BatchShape shape{.batch_size = 3, .num_segments = 20, .segment_length = 113};
    const Batch batch = loader.next(shape);
    Loader again = make_loader({config}, bytes_tokenizer(), 4);
    EXPECT_EQ(batch.ids, again.next(shape).ids) << name;
    for (std::size_t row = 0; row < 3; ++row) {
      std::vector<std::int32_t> answer;
      for (std::size_t i = row * 2260; i < (row + 1) * 2260; ++i) {
        if (batch.answer[i] == 1) {
          answer.push_back(batch.targets[i]);
        }
      }
      EXPECT_FALSE(answer.empty()) << name;
    }
  }
}

TEST(TaskDataset, TakesOptionsAndRefusesThoseThatTheTaskLacks) {
  DatasetConfig config = dataset_of(DatasetKind::kTask);
  config.task = "capacity";
  config.options = TaskOptions{};
  config.options->keys = 3;
  const Batch batch = one_row(config, {.num_segments = 8, .segment_length = 113});
  const std::string text = bytes_tokenizer()->decode(batch.ids);
  std::size_t told = 0;
  for (std::size_t at = text.find("The number of"); at != std::string::npos;
       at = text.find("The number of", at + 1)) {
    ++told;
  }
  EXPECT_EQ(told, 4U) << "three told, one asked for: " << text;
  config.options->hops = 3;
  EXPECT_THROW(one_row(config, {.num_segments = 8, .segment_length = 113}), ConfigError);
  config.options.reset();
  config.task = "nonsense";
  EXPECT_THROW(one_row(config, {.num_segments = 8, .segment_length = 113}), ConfigError);
}

TEST(PasskeyDataset, PutsAShareOfNeedlesFirstAndKeepsAFixedDepth) {
  DatasetConfig config = dataset_of(DatasetKind::kPasskey);
  config.first_share = 0.25;
  config.depth = 1.0;
  Loader loader = make_loader({config}, bytes_tokenizer(), 4);
  const Batch batch = loader.next({.batch_size = 400, .num_segments = 4, .segment_length = 128});
  int num_first = 0;
  for (std::size_t row = 0; row < 400; ++row) {
    const std::vector<std::int32_t> ids(
        batch.ids.begin() + static_cast<std::ptrdiff_t>(row * 512),
        batch.ids.begin() + static_cast<std::ptrdiff_t>((row + 1) * 512));
    const std::string text = bytes_tokenizer()->decode(ids);
    const std::size_t at = text.find("passkey. What is");
    const bool first = text.rfind(" The passkey is", 0) == 0;
    EXPECT_NE(first, at != std::string::npos) << text;
    num_first += first ? 1 : 0;
  }
  EXPECT_NEAR(num_first, 100, 30);
}

TEST(Dataset, RefusesATokenFileOfAnotherTokenizerTellingBothHashes) {
  const TemporaryFolder folder;
  const auto words = passkey_words_tokenizer();
  const auto path = write_tokens(folder, {{1, 2, 3}}, *words);
  try {
    one_row(dataset_of(DatasetKind::kTokens, path), {});
    FAIL();
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(words->hash()), std::string::npos);
    EXPECT_NE(text.find(bytes_tokenizer()->hash()), std::string::npos);
  }
}

TEST(Dataset, RefusesATokenFileWithOtherMarks) {
  const TemporaryFolder folder;
  const auto path = write_tokens(folder, {{1, 2, 3}}, *bytes_tokenizer());
  EXPECT_THROW(
      make_loader({dataset_of(DatasetKind::kTokens, path)}, bytes_tokenizer(), 0, {.bos = true}),
      ConfigError);
  EXPECT_THROW(
      make_loader({dataset_of(DatasetKind::kTokens, path)}, bytes_tokenizer(), 0, {.eos = false}),
      ConfigError);
}

} // namespace
} // namespace fcc
