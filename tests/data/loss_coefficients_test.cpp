#include "fcc/data/loss_coefficients.h"

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

// Two rows of segments 2 + 2 + 1 (the last one is shorter).
Batch ragged_batch() {
  Batch batch;
  batch.shape = {.batch_size = 2, .num_segments = 3, .segment_length = 2};
  batch.targets = {1, 2, kIgnoredTarget, 4, 5, 6, kIgnoredTarget, kIgnoredTarget, 9, 10};
  batch.target_weights = {1, 0.5F, 1, 2, 1, 0, 1, 1, 4, 1};
  return batch;
}

TEST(LossCoefficients, SegmentMeanDividesByTheCountedTargetsOfTheSegment) {
  const Batch batch = ragged_batch();
  LossCounts counts;
  count_targets(batch, counts);
  EXPECT_EQ(counts.per_segment, (std::vector<double>{2, 2, 2}));
  EXPECT_DOUBLE_EQ(counts.weight_sum, 9.5);
  EXPECT_EQ(
      loss_coefficients(batch, counts, LossKind::kSegmentMeanSum),
      (std::vector<double>{0.5, 0.25, 0, 1, 0.5, 0, 0, 0, 2, 0.5}));
}

TEST(LossCoefficients, TokenMeanDividesByTheSumOfWeights) {
  const Batch batch = ragged_batch();
  LossCounts counts;
  count_targets(batch, counts);
  double sum = 0;
  for (const double c : loss_coefficients(batch, counts, LossKind::kTokenMean)) {
    sum += c;
  }
  EXPECT_NEAR(sum, 1.0, 1e-15);
}

TEST(LossCoefficients, PrefixSegmentsCountNothing) {
  Batch batch = ragged_batch();
  batch.shape.num_prefix_segments = 1;
  batch.shape.num_segments = 2;
  LossCounts counts;
  count_targets(batch, counts);
  EXPECT_EQ(counts.per_segment, (std::vector<double>{0, 2, 2}));
  const auto result = loss_coefficients(batch, counts, LossKind::kSegmentMeanSum);
  EXPECT_EQ(result[0], 0.0);
  EXPECT_EQ(result[1], 0.0);
  EXPECT_EQ(result[3], 1.0);
}

TEST(LossCoefficients, CountsOfMicroBatchesAddUp) {
  const Batch batch = ragged_batch();
  LossCounts once, twice;
  count_targets(batch, once);
  count_targets(batch, twice);
  count_targets(batch, twice);
  const auto whole = loss_coefficients(batch, once, LossKind::kTokenMean);
  const auto half = loss_coefficients(batch, twice, LossKind::kTokenMean);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_DOUBLE_EQ(half[i], whole[i] / 2);
  }
}

TEST(LossCoefficients, NoTargetAtAllGivesZeros) {
  Batch batch = ragged_batch();
  batch.targets.assign(10, kIgnoredTarget);
  LossCounts counts;
  count_targets(batch, counts);
  EXPECT_EQ(loss_coefficients(batch, counts, LossKind::kTokenMean), (std::vector<double>(10, 0.0)));
}

TEST(LossCoefficients, SizesThatDoNotFitAreRefused) {
  Batch batch = ragged_batch();
  LossCounts counts;
  batch.target_weights.pop_back();
  EXPECT_THROW(count_targets(batch, counts), Error);
}

} // namespace
} // namespace fcc
