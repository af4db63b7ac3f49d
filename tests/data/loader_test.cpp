#include "fcc/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "data/helpers.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

using test::bytes_tokenizer;
using test::counting_documents;
using test::dataset_of;
using test::TemporaryFolder;
using test::write_tokens;

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.targets, b.targets);
  EXPECT_EQ(a.target_weights, b.target_weights);
  EXPECT_EQ(a.answer, b.answer);
  EXPECT_EQ(a.segment_starts_document, b.segment_starts_document);
}

/// One of each kind over a small corpus.
std::vector<DatasetConfig> mixture(const TemporaryFolder& folder) {
  const std::string path =
      write_tokens(folder, counting_documents({5, 239, 1, 113, 8, 64}), *bytes_tokenizer())
          .string();
  DatasetConfig carry = dataset_of(DatasetKind::kTokens, path);
  carry.weight = 2.0;
  DatasetConfig reset = carry;
  reset.document_memory = DocumentMemory::kReset;
  DatasetConfig documents = dataset_of(DatasetKind::kDocuments, path);
  documents.weight = 0.5;
  DatasetConfig passkey = dataset_of(DatasetKind::kPasskey);
  passkey.first_share = 0.3;
  passkey.context_weight = 0.05;
  return {carry, reset, documents, passkey};
}

/// Lengths that change from step to step, as drawn segment counts do.
BatchShape shape_of_step(std::int64_t step, std::int64_t batch_size = 3) {
  return {
      .batch_size = batch_size,
      .num_segments = 8 + step % 4,
      .num_prefix_segments = step % 3,
      .segment_length = 32};
}

TEST(Loader, ResumedAtAnyStepGivesWhatAnUninterruptedOneGives) {
  const TemporaryFolder folder;
  const auto datasets = mixture(folder);
  Loader whole = make_loader(datasets, bytes_tokenizer(), 5);
  std::vector<Loader::State> states;
  std::vector<Batch> batches;
  for (std::int64_t step = 0; step < 30; ++step) {
    states.push_back(whole.state());
    batches.push_back(whole.next(shape_of_step(step)));
  }
  for (std::size_t from = 0; from < states.size(); ++from) {
    Loader resumed = make_loader(datasets, bytes_tokenizer(), 5);
    resumed.restore(states[from]);
    for (std::size_t step = from; step < std::min(from + 3, states.size()); ++step) {
      expect_equal(resumed.next(shape_of_step(static_cast<std::int64_t>(step))), batches[step]);
    }
  }
}

TEST(Loader, RanksShareTheGlobalBatchWithoutOverlapOrGap) {
  const TemporaryFolder folder;
  const auto datasets = mixture(folder);
  for (const std::int64_t num_ranks : {1, 2, 3, 4}) {
    Loader one = make_loader(datasets, bytes_tokenizer(), 9);
    std::vector<Loader> ranks;
    for (std::int64_t rank = 0; rank < num_ranks; ++rank) {
      ranks.push_back(make_loader(datasets, bytes_tokenizer(), 9));
    }
    for (std::int64_t step = 0; step < 10; ++step) {
      const Batch global = one.next(shape_of_step(step, 12));
      std::vector<std::int32_t> ids, targets;
      for (std::int64_t rank = 0; rank < num_ranks; ++rank) {
        Loader& loader = ranks[static_cast<std::size_t>(rank)];
        const Batch own = loader.next(shape_of_step(step, 12 / num_ranks), rank, num_ranks);
        ids.insert(ids.end(), own.ids.begin(), own.ids.end());
        targets.insert(targets.end(), own.targets.begin(), own.targets.end());
        EXPECT_EQ(loader.state().positions, one.state().positions);
        EXPECT_EQ(loader.state().rows_drawn, one.state().rows_drawn);
      }
      EXPECT_EQ(ids, global.ids);
      EXPECT_EQ(targets, global.targets);
    }
  }
}

TEST(Loader, SmallBatchesInARowAreTheLargeBatch) {
  const TemporaryFolder folder;
  const auto datasets = mixture(folder);
  Loader large = make_loader(datasets, bytes_tokenizer(), 3);
  Loader small = make_loader(datasets, bytes_tokenizer(), 3);
  const Batch expected = large.next(shape_of_step(0, 8));
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 4; ++i) {
    const Batch part = small.next(shape_of_step(0, 2));
    ids.insert(ids.end(), part.ids.begin(), part.ids.end());
  }
  EXPECT_EQ(ids, expected.ids);
}

TEST(Loader, DrawsDatasetsByTheirWeights) {
  const TemporaryFolder folder;
  const auto datasets = mixture(folder);
  Loader loader = make_loader(datasets, bytes_tokenizer(), 1);
  const BatchShape shape{.batch_size = 100, .num_segments = 8, .segment_length = 32};
  for (int i = 0; i < 55; ++i) {
    loader.next(shape);
  }
  EXPECT_EQ(loader.state().rows_drawn, 5500);
  EXPECT_NEAR(static_cast<double>(loader.state().positions[0]) / 256, 2000, 100);
  EXPECT_NEAR(static_cast<double>(loader.state().positions[2]), 500, 70);
  EXPECT_NEAR(static_cast<double>(loader.state().positions[3]), 1000, 90);
}

TEST(Loader, RefusesWhatDoesNotFit) {
  EXPECT_THROW(make_loader({}, bytes_tokenizer(), 0), ConfigError);
  DatasetConfig passkey = dataset_of(DatasetKind::kPasskey);
  Loader loader = make_loader({passkey}, bytes_tokenizer(), 0);
  EXPECT_THROW(loader.restore({.positions = {1, 2}, .rows_drawn = 0}), Error);
  EXPECT_THROW(loader.restore({.positions = {-1}, .rows_drawn = 0}), Error);
  EXPECT_THROW(loader.next({.batch_size = 1, .num_segments = 2, .segment_length = 0}), ConfigError);
  passkey.weight = 0.0;
  EXPECT_THROW(make_loader({passkey}, bytes_tokenizer(), 0), ConfigError);
  EXPECT_THROW(make_loader({dataset_of(DatasetKind::kTokens)}, bytes_tokenizer(), 0), ConfigError);
}

TEST(Loader, AFailedBatchLeavesTheStateAsItWas) {
  Loader loader = make_loader({dataset_of(DatasetKind::kPasskey)}, bytes_tokenizer(), 0);
  loader.next({.batch_size = 2, .num_segments = 8, .segment_length = 64});
  EXPECT_THROW(
      loader.next({.batch_size = 2, .num_segments = 1, .segment_length = 16}), ConfigError);
  EXPECT_EQ(loader.state().rows_drawn, 2);
}

} // namespace
} // namespace fcc
