#include "fcc/eval/perplexity.h"

#include <cmath>

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/engine/make_executor.h"
#include "fcc/model/reference.h"
#include "generate/tiny_model.h"

namespace fcc {
namespace {

constexpr std::int64_t kSegmentLength = 5;

class Perplexity : public testing::TestWithParam<Architecture> {
 protected:
  void SetUp() override {
    at::manual_seed(3);
    config_ = test::tiny_config(GetParam());
    parameters_ = std::make_unique<FlatParameters>(test::tiny_parameters(config_));
    weights_ = parameters_->view(parameters_->compute());
    EngineSection engine;
    engine.device = "cpu";
    engine.dtype = ComputeDType::kFloat64;
    executor_ = make_executor(*parameters_, engine);
    const at::Tensor ids = test::tiny_ids(config_, 1, 2 * 7 * kSegmentLength + 3);
    for (std::int64_t i = 0; i < ids.size(1); ++i) {
      text_.push_back(static_cast<std::int32_t>(ids[0][i].item<std::int64_t>()));
    }
  }
  TokenText token_text() const {
    return {
        .num_tokens = static_cast<std::int64_t>(text_.size()),
        .read = [this](std::int64_t position, std::span<std::int32_t> ids) {
          std::copy_n(text_.begin() + position, ids.size(), ids.begin());
        }};
  }
  SegmentLosses measure(const PerplexityOptions& options) {
    SegmentLosses losses;
    add_losses(
        losses, *executor_, config_, rows_of_text(token_text(), 0, 2, 7, kSegmentLength), options);
    return losses;
  }
  // Σ -log p of the targets at [begin, end) of the text, the model seeing the text from `start`.
  double expected_loss(std::int64_t start, std::int64_t begin, std::int64_t end) const {
    const at::NoGradGuard no_gradients;
    at::Tensor ids = at::empty({1, end - start}, at::kLong);
    for (std::int64_t i = start; i < end; ++i) {
      ids[0][i - start] = text_[static_cast<std::size_t>(i)];
    }
    const at::Tensor hidden = reference_forward(config_, weights_, ids).hidden;
    const at::Tensor scores = at::log_softmax(reference_logits(weights_, hidden)[0], -1);
    double sum = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      sum -= scores[i - start][text_[static_cast<std::size_t>(i + 1)]].item<double>();
    }
    return sum;
  }

  ModelConfig config_;
  std::unique_ptr<FlatParameters> parameters_;
  ModelWeights weights_;
  std::unique_ptr<Executor> executor_;
  std::vector<std::int32_t> text_;
};

TEST_P(Perplexity, BySegmentEqualsTheFullPassHoweverItIsChunked) {
  for (const std::int64_t chunk : {1, 2, 3, 7, 100}) {
    const SegmentLosses losses =
        measure({.segment_length = kSegmentLength, .chunk_segments = chunk});
    ASSERT_EQ(losses.segments.size(), 7u);
    EXPECT_EQ(losses.num_sequences, 2);
    for (std::int64_t s = 0; s < 7; ++s) {
      const SegmentLoss& segment = losses.segments[static_cast<std::size_t>(s)];
      EXPECT_EQ(segment.num_targets, 2 * kSegmentLength);
      double expected = 0;
      for (const std::int64_t row : {0, 7 * 5}) {
        expected += expected_loss(row, row + 5 * s, row + 5 * s + 5);
      }
      EXPECT_NEAR(segment.loss_sum, expected, 1e-9) << "segment " << s;
    }
    EXPECT_NEAR(losses.total().perplexity(), std::exp(losses.total().nll()), 1e-12);
  }
}

TEST_P(Perplexity, WithTheMemoryCutEverySegmentStandsAlone) {
  for (const std::int64_t chunk : {1, 4}) {
    const SegmentLosses losses =
        measure({.segment_length = kSegmentLength, .chunk_segments = chunk, .cut_memory = true});
    for (std::int64_t s = 0; s < 7; ++s) {
      double expected = 0;
      for (const std::int64_t row : {0, 7 * 5}) {
        expected += expected_loss(row + 5 * s, row + 5 * s, row + 5 * s + 5);
      }
      EXPECT_NEAR(losses.segments[static_cast<std::size_t>(s)].loss_sum, expected, 1e-9);
    }
  }
}

TEST_P(Perplexity, TheLastTokenOfAllHasNoTarget) {
  text_.resize(7 * kSegmentLength);
  SegmentLosses losses;
  add_losses(
      losses,
      *executor_,
      config_,
      rows_of_text(token_text(), 0, 1, 7, kSegmentLength),
      {.segment_length = kSegmentLength, .chunk_segments = 2});
  EXPECT_EQ(losses.segments[5].num_targets, kSegmentLength);
  EXPECT_EQ(losses.segments[6].num_targets, kSegmentLength - 1);
  EXPECT_NEAR(losses.segments[6].loss_sum, expected_loss(0, 30, 34), 1e-9);
}

TEST_P(Perplexity, RefusesIdsOfAnotherVocabulary) {
  text_[12] = 29;
  EXPECT_THROW(measure({.segment_length = kSegmentLength}), Error);
}

INSTANTIATE_TEST_SUITE_P(
    EachArchitecture,
    Perplexity,
    testing::Values(Architecture::kLlama, Architecture::kCondensation, Architecture::kLocalGlobal));

TEST(PerplexityRows, OfABatchKeepItsTargetsAndDocuments) {
  Batch batch;
  batch.shape = {.batch_size = 2, .num_segments = 3, .segment_length = 2};
  for (std::int32_t i = 0; i < 12; ++i) {
    batch.ids.push_back(i);
    batch.targets.push_back(i % 5 == 0 ? kIgnoredTarget : i + 1);
  }
  batch.segment_starts_document = {1, 0, 1, 1, 1, 0};
  const RowSource rows = rows_of_batch(batch);
  const RowChunk chunk = rows.read(1, 2);
  EXPECT_EQ(rows.num_rows, 2);
  EXPECT_EQ(rows.num_segments, 3);
  EXPECT_EQ(chunk.ids[1][0].item<std::int64_t>(), 8);
  EXPECT_EQ(chunk.targets[1][2].item<std::int64_t>(), kIgnoredTarget);
  EXPECT_FALSE(chunk.segment_starts_document[1][1].item<bool>());
  EXPECT_TRUE(chunk.segment_starts_document[0][1].item<bool>());
}

TEST(PerplexityReport, ShowsBothColumnsAndWhatMemoryIsWorth) {
  PerplexityReport report;
  report.with_memory = SegmentLosses{{{10.0, 10}, {5.0, 10}}, 2};
  report.cut = SegmentLosses{{{10.0, 10}, {20.0, 10}}, 2};
  const Table table = perplexity_table(report, true);
  EXPECT_EQ(table.header.back(), "nll_gain");
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(table.rows[1][2], "0.500000000");
  EXPECT_EQ(table.rows[1][4], "2.000000000");
  EXPECT_EQ(table.rows[1][6], "1.500000000");
  EXPECT_EQ(table.rows[2][0], "all");
  EXPECT_EQ(table.rows[2][2], "0.750000000");
  const auto json = nlohmann::json::parse(perplexity_json(report, "tiny", 5));
  EXPECT_EQ(json.at("with_memory").at("segments")[1].at("nll"), 0.5);
  EXPECT_EQ(json.at("memory_cut").at("total").at("nll"), 1.5);
  report.cut.reset();
  EXPECT_EQ(perplexity_table(report, false).header.size(), 4u);
}

} // namespace
} // namespace fcc
