#include "fcc/core/random.h"

#include <gtest/gtest.h>

namespace fcc {
namespace {

TEST(Random, AnyPositionIsReachedWithoutThoseBefore) {
  Random whole(7, 3);
  for (int i = 0; i < 113; ++i) {
    whole.next();
  }
  Random jumped(7, 3, 113);
  EXPECT_EQ(whole.next(), jumped.next());
}

TEST(Random, StreamsAndSeedsDiffer) {
  EXPECT_NE(Random(1, 0).next(), Random(1, 1).next());
  EXPECT_NE(Random(1, 0).next(), Random(2, 0).next());
}

TEST(Random, UniformStaysInItsRangeAndFillsIt) {
  Random random(5);
  double smallest = 1, largest = 0, sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const double drawn = random.uniform();
    smallest = std::min(smallest, drawn);
    largest = std::max(largest, drawn);
    sum += drawn;
  }
  EXPECT_GE(smallest, 0.0);
  EXPECT_LT(largest, 1.0);
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(Random, BelowReachesBothEnds) {
  Random random(5);
  bool seen[3] = {};
  for (int i = 0; i < 100; ++i) {
    seen[random.below(3)] = true;
  }
  EXPECT_TRUE(seen[0] && seen[1] && seen[2]);
}

} // namespace
} // namespace fcc
