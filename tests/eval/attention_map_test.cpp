#include "fcc/eval/attention_map.h"
#include "eval/pictures.h"

#include <cmath>

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/generate/stream.h"
#include "fcc/model/reference.h"
#include "fcc/ops/rms_norm.h"
#include "fcc/ops/rope.h"
#include "generate/cached_stack.h"
#include "generate/tiny_model.h"

namespace fcc {
namespace {

class AttentionMapTest : public testing::Test {
 protected:
  std::vector<std::int32_t> text(std::int64_t length) const {
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < length; ++i) {
      ids.push_back(static_cast<std::int32_t>((7 * i + i * i) % config_.vocab_size));
    }
    return ids;
  }
  static double unscaled(const AttentionMap& map, std::int64_t query, std::int64_t key) {
    const double value = map.values[static_cast<std::size_t>(query * map.num_keys + key)];
    return map.least + value * (map.largest - map.least);
  }

  ModelConfig config_ = test::tiny_config(Architecture::kCondensation); // segments of 5
  FlatParameters parameters_ = test::tiny_parameters(config_);
  ModelWeights weights_ = parameters_.view(parameters_.compute());
};

TEST_F(AttentionMapTest, HidesExactlyTheFutureAndScalesTheRest) {
  const auto maps =
      attention_maps(config_, weights_, text(17), {.layers = {1, 3}, .segments = {1, 3}});
  ASSERT_EQ(maps.size(), 4u);
  EXPECT_EQ(maps[0].segment, 1);
  EXPECT_EQ(maps[0].num_memory, 0);
  EXPECT_EQ(maps[3].segment, 3);
  EXPECT_EQ(maps[3].layer, 3);
  EXPECT_EQ(maps[3].num_keys, 10);
  EXPECT_EQ(maps[3].num_memory, 5);
  for (const AttentionMap& map : maps) {
    double least = 1, largest = 0;
    for (std::int64_t i = 0; i < map.num_queries; ++i) {
      for (std::int64_t j = 0; j < map.num_keys; ++j) {
        const double value = map.values[static_cast<std::size_t>(i * map.num_keys + j)];
        EXPECT_EQ(std::isnan(value), j > i + map.num_memory);
        least = std::isnan(value) ? least : std::min(least, value);
        largest = std::isnan(value) ? largest : std::max(largest, value);
      }
    }
    EXPECT_DOUBLE_EQ(least, 0.0);
    EXPECT_DOUBLE_EQ(largest, 1.0);
  }
}

TEST_F(AttentionMapTest, WeightsOfAQuerySumToOne) {
  for (const std::optional<std::int64_t> head : {std::optional<std::int64_t>(), {2}}) {
    const auto maps = attention_maps(
        config_,
        weights_,
        text(10),
        {.layers = {2}, .segments = {2}, .head = head, .after_softmax = true});
    for (std::int64_t i = 0; i < 5; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j <= i + 5; ++j) {
        sum += unscaled(maps[0], i, j);
      }
      EXPECT_NEAR(sum, 1.0, 1e-12);
    }
  }
}

TEST_F(AttentionMapTest, TheShareOfMemoryIsTheWeightOnItsKeysWhicheverMatrixIsShown) {
  for (const std::optional<std::int64_t> head : {std::optional<std::int64_t>(), {2}}) {
    AttentionMapOptions options{.layers = {2}, .segments = {1, 2}, .head = head};
    const auto scores = attention_maps(config_, weights_, text(10), options);
    options.after_softmax = true;
    const auto weights = attention_maps(config_, weights_, text(10), options);
    EXPECT_EQ(weights[0].memory_share, 0.0); // the first segment has none
    double sum = 0;
    for (std::int64_t i = 0; i < 5; ++i) {
      for (std::int64_t j = 0; j < 5; ++j) {
        sum += unscaled(weights[1], i, j);
      }
    }
    EXPECT_NEAR(weights[1].memory_share, sum / 5, 1e-12);
    EXPECT_EQ(scores[1].memory_share, weights[1].memory_share);
  }
}

// Layer 1 reads the embeddings and, for segment 2, its own output for segment 1: both are at hand.
TEST_F(AttentionMapTest, ScoresAreThoseOfTheEquation) {
  const at::NoGradGuard no_gradients;
  const auto maps =
      attention_maps(config_, weights_, text(10), {.layers = {1}, .segments = {2}, .head = 3});
  const std::vector<std::int32_t> ids = text(10);
  const std::vector<std::int64_t> wide(ids.begin(), ids.end());
  const at::Tensor tokens = at::tensor(wide, at::kLong).unsqueeze(0);
  const at::Tensor memory =
      reference_forward(config_, weights_, tokens.narrow(1, 0, 5)).state.memory[0]; // [1, 5, D]
  const at::Tensor x = embed(weights_, tokens.narrow(1, 5, 5));                     // [1, 5, D]
  const auto normed = [&](const at::Tensor& rows) {
    return rms_norm(rows, weights_.layers.input_layernorm[0], config_.rms_norm_eps);
  };
  const std::int64_t E = config_.head_dim, H = config_.num_attention_heads;
  const auto frequencies = rope_frequencies(E, config_.rope_theta);
  const auto project = [&](const at::Tensor& rows, std::int64_t first, std::int64_t position) {
    const at::Tensor weight = weights_.layers.qkv_proj[0].narrow(0, first * E, E);
    const at::Tensor heads = at::linear(normed(rows), weight).view({1, 5, 1, E});
    return rope(heads, make_rope_table(frequencies, position, 5, heads.options())).view({5, E});
  };
  const at::Tensor q = project(x, 2, 5); // head 3 counted from 1
  const at::Tensor k_mem = project(memory, H + 1, 0), k_cur = project(x, H + 1, 5); // key head 2
  const double scale = 1 / std::sqrt(static_cast<double>(E));
  for (std::int64_t i = 0; i < 5; ++i) {
    for (std::int64_t j = 0; j <= i + 5; ++j) {
      const at::Tensor key = j < 5 ? k_mem[j] : k_cur[j - 5];
      const double expected = (q[i] * key).sum().item<double>() * scale;
      EXPECT_NEAR(unscaled(maps[0], i, j), expected, 1e-10) << i << ", " << j;
    }
  }
}

TEST_F(AttentionMapTest, RefusesWhatIsNotThere) {
  const auto maps = [&](const AttentionMapOptions& options, std::int64_t length = 12) {
    return attention_maps(config_, weights_, text(length), options);
  };
  EXPECT_THROW(maps({.layers = {0}, .segments = {1}}), ConfigError);
  EXPECT_THROW(maps({.layers = {4}, .segments = {1}}), ConfigError);
  EXPECT_THROW(maps({.layers = {1}, .segments = {3}}), ConfigError); // 12 tokens: two segments
  EXPECT_THROW(maps({.layers = {1}, .segments = {1}, .head = 5}), ConfigError);
  EXPECT_THROW(maps({.layers = {}, .segments = {1}}), ConfigError);
  EXPECT_THROW(maps({.layers = {1}, .segments = {1}}, 4), ConfigError);
  const ModelConfig llama = test::tiny_config(Architecture::kLlama);
  EXPECT_THROW(
      attention_maps(llama, weights_, text(12), {.layers = {1}, .segments = {1}}), ConfigError);
}

TEST_F(AttentionMapTest, ThePictureAveragesWideMatricesDown) {
  const AttentionMapOptions options{.layers = {1, 2}, .segments = {2}};
  const auto maps = attention_maps(config_, weights_, text(10), options);
  const RasterGrid whole = attention_grid(maps, options, "tiny");
  ASSERT_EQ(whole.panels.size(), 2u);
  EXPECT_EQ(whole.panels[0].width, 10);
  EXPECT_EQ(whole.panels[0].divider, 5.0);
  const RasterGrid small = attention_grid(maps, options, "tiny", 5);
  EXPECT_EQ(small.panels[0].width, 5);
  EXPECT_EQ(small.panels[0].height, 3);
  const auto at = [&](std::int64_t i, std::int64_t j) {
    return maps[0].values[static_cast<std::size_t>(i * 10 + j)];
  };
  EXPECT_NEAR(small.panels[0].values[1], (at(0, 2) + at(0, 3) + at(1, 2) + at(1, 3)) / 4, 1e-12);
  EXPECT_FALSE(raster_grid_svg(small).empty());
}

} // namespace
} // namespace fcc
