#include "fcc/generate/sampler.h"

#include <cmath>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

const std::vector<double>
    kLogits{0.3, 2.0, -1.0, 2.0, 0.0, -std::numeric_limits<double>::infinity(), 1.1};

std::vector<double> softmax(const std::vector<double>& logits, double temperature) {
  std::vector<double> weights;
  double sum = 0;
  for (const double logit : logits) {
    weights.push_back(std::exp(logit / temperature));
    sum += weights.back();
  }
  for (double& weight : weights) {
    weight /= sum;
  }
  return weights;
}

TEST(Sampler, DrawsNoIdOfAPaddedVocabulary) {
  const std::vector<double> logits{0.0, 1.0, 0.5, 9.0, 9.0}; // three tokens and two rows of padding
  for (const double temperature : {0.0, 1.0}) {
    const Sampler sampler({.temperature = temperature, .seed = 3, .num_ids = 3});
    for (std::int64_t position = 0; position < 200; ++position) {
      EXPECT_LT(sampler.sample(logits, position), 3);
    }
  }
  EXPECT_EQ(Sampler({.num_ids = 3}).sample(logits, 0), 1);
  EXPECT_EQ(Sampler({.num_ids = 9}).sample(logits, 0), 3);
  EXPECT_THROW(Sampler({.num_ids = -1}), ConfigError);
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  EXPECT_EQ(Sampler({}).sample(kLogits, 0), 1);
  EXPECT_EQ(Sampler({.temperature = 0, .seed = 9}).sample(kLogits, 113), 1);
}

TEST(Sampler, CandidatesAreTheSoftmaxAtTheTemperature) {
  for (const double temperature : {0.3, 1.0, 7.0}) {
    const std::vector<double> expected = softmax(kLogits, temperature);
    const std::vector<Candidate> kept = Sampler({.temperature = temperature}).candidates(kLogits);
    EXPECT_EQ(kept.size(), 6u); // the infinitely unlikely token cannot be drawn
    double sum = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      EXPECT_NEAR(kept[i].probability, expected[static_cast<std::size_t>(kept[i].id)], 1e-15);
      EXPECT_TRUE(i == 0 || kept[i].probability <= kept[i - 1].probability);
      sum += kept[i].probability;
    }
    EXPECT_NEAR(sum, 1.0, 1e-15);
  }
}

TEST(Sampler, TopKKeepsTheMostLikelyAndEqualsById) {
  const std::vector<Candidate> one = Sampler({.temperature = 1, .top_k = 1}).candidates(kLogits);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].id, 1);
  const std::vector<Candidate> three = Sampler({.temperature = 1, .top_k = 3}).candidates(kLogits);
  ASSERT_EQ(three.size(), 3u);
  EXPECT_EQ(three[0].id, 1);
  EXPECT_EQ(three[1].id, 3);
  EXPECT_EQ(three[2].id, 6);
  EXPECT_EQ(Sampler({.temperature = 1, .top_k = 1000}).candidates(kLogits).size(), 6u);
}

TEST(Sampler, TopPKeepsTheFewestTokensThatReachIt) {
  const std::vector<double> logits{std::log(0.5), std::log(0.3), std::log(0.15), std::log(0.05)};
  const auto count = [&](double p) {
    return Sampler({.temperature = 1, .top_p = p}).candidates(logits).size();
  };
  EXPECT_EQ(count(1e-9), 1u);
  EXPECT_EQ(count(0.49), 1u);
  EXPECT_EQ(count(0.51), 2u);
  EXPECT_EQ(count(0.79), 2u);
  EXPECT_EQ(count(0.81), 3u);
  EXPECT_EQ(count(1.0), 4u);
  const auto kept = Sampler({.temperature = 1, .top_p = 0.6}).candidates(logits);
  EXPECT_NEAR(kept[0].probability, 0.5 / 0.8, 1e-12);
}

TEST(Sampler, DrawsFollowTheProbabilities) {
  const Sampler sampler({.temperature = 0.8, .seed = 239});
  std::map<std::int32_t, int> counts;
  constexpr int kDraws = 20000;
  for (int position = 0; position < kDraws; ++position) {
    ++counts[sampler.sample(kLogits, position)];
  }
  for (const Candidate& candidate : sampler.candidates(kLogits)) {
    const double p = candidate.probability;
    EXPECT_NEAR(counts[candidate.id], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)) + 1);
  }
  EXPECT_EQ(counts.count(5), 0u);
}

TEST(Sampler, ADrawDependsOnSeedAndPositionAlone) {
  const Sampler sampler({.temperature = 2, .seed = 4}), same({.temperature = 2, .seed = 4});
  const Sampler other({.temperature = 2, .seed = 5});
  int differing = 0;
  for (int position = 112; position >= 0; --position) {
    EXPECT_EQ(sampler.sample(kLogits, position), same.sample(kLogits, position));
    differing += sampler.sample(kLogits, position) != other.sample(kLogits, position);
  }
  EXPECT_GT(differing, 0);
}

TEST(Sampler, RefusesOptionsOutOfRangeAndBrokenLogits) {
  EXPECT_THROW(Sampler({.temperature = -0.1}), ConfigError);
  EXPECT_THROW(Sampler({.temperature = std::nan("")}), ConfigError);
  EXPECT_THROW(Sampler({.top_k = -1}), ConfigError);
  EXPECT_THROW(Sampler({.top_p = 0}), ConfigError);
  EXPECT_THROW(Sampler({.top_p = 1.01}), ConfigError);
  const Sampler sampler({.temperature = 1});
  EXPECT_THROW(sampler.sample({}, 0), Error);
  EXPECT_THROW(sampler.sample(std::vector<double>{0.0, std::nan("")}, 0), Error);
  EXPECT_THROW(sampler.sample(std::vector<double>{0.0, HUGE_VAL}, 0), Error);
  EXPECT_THROW(sampler.sample(std::vector<double>{-HUGE_VAL, -HUGE_VAL}, 0), Error);
}

} // namespace
} // namespace fcc
