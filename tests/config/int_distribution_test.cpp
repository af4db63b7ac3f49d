#include "fcc/config/int_distribution.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "fcc/core/random.h"

namespace fcc {
namespace {

using Kind = IntDistribution::Kind;

std::map<std::int64_t, double> shares(const IntDistribution& distribution, int num_draws) {
  Random random(113);
  std::map<std::int64_t, double> counts;
  for (int i = 0; i < num_draws; ++i) {
    counts[distribution.draw(random)] += 1.0 / num_draws;
  }
  return counts;
}

double mean_of(const std::map<std::int64_t, double>& counts) {
  double mean = 0;
  for (const auto& [value, share] : counts) {
    mean += static_cast<double>(value) * share;
  }
  return mean;
}

TEST(IntDistribution, AFixedNumberIsAlwaysDrawn) {
  Random random(5);
  EXPECT_EQ(IntDistribution::fixed(8).draw(random), 8);
  EXPECT_EQ(IntDistribution::fixed(8).mean(), 8.0);
  EXPECT_EQ(IntDistribution::fixed(8).max(), 8);
}

TEST(IntDistribution, TheNumbersOfAListAreAlike) {
  const auto counts = shares({Kind::kList, {2, 4, 8}, 0.0}, 30000);
  EXPECT_EQ(counts.size(), 3U);
  EXPECT_NEAR(counts.at(4), 1.0 / 3, 0.02);
}

TEST(IntDistribution, UniformReachesBothEnds) {
  const auto counts = shares({Kind::kUniform, {0, 16}, 0.0}, 30000);
  EXPECT_EQ(counts.size(), 17U);
  EXPECT_EQ(counts.rbegin()->first, 16);
}

TEST(IntDistribution, LogUniformGivesEachDoublingTheSameShare) {
  const auto counts = shares({Kind::kLogUniform, {1, 63}, 0.0}, 60000);
  EXPECT_EQ(counts.begin()->first, 1);
  EXPECT_EQ(counts.rbegin()->first, 63);
  double low = 0, high = 0;
  for (const auto& [value, share] : counts) {
    low += value < 2 ? share : 0;
    high += value >= 32 ? share : 0;
  }
  EXPECT_NEAR(low, 1.0 / 6, 0.01); // six doublings from 1 to 64
  EXPECT_NEAR(high, 1.0 / 6, 0.01);
}

TEST(IntDistribution, AShareOfZerosComesFirst) {
  const IntDistribution distribution{Kind::kLogUniform, {1, 64}, 0.2};
  EXPECT_NEAR(shares(distribution, 30000).at(0), 0.2, 0.01);
}

TEST(IntDistribution, TheMeanIsThatOfManyDraws) {
  const IntDistribution distributions[] = {
      {Kind::kList, {2, 4, 9}, 0.3},
      {Kind::kUniform, {3, 17}, 0.0},
      {Kind::kLogUniform, {1, 64}, 0.2},
      {Kind::kLogUniform, {5, 5}, 0.0}};
  for (const IntDistribution& distribution : distributions) {
    EXPECT_NEAR(distribution.mean() / mean_of(shares(distribution, 60000)), 1.0, 0.02);
  }
}

TEST(IntDistribution, DrawsOfOneSeedAreAlike) {
  const IntDistribution distribution{Kind::kLogUniform, {1, 1000000}, 0.1};
  Random first(5, 2, 7), second(5, 2, 7);
  for (int i = 0; i < 113; ++i) {
    EXPECT_EQ(distribution.draw(first), distribution.draw(second));
  }
}

} // namespace
} // namespace fcc
