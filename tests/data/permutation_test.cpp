#include "data/permutation.h"

#include <gtest/gtest.h>

#include <set>

namespace fcc {
namespace {

TEST(Permutation, ReachesEveryIndexOnce) {
  for (const std::int64_t size : {1, 2, 3, 4, 5, 113, 239, 1024, 1025}) {
    const Permutation order(size, 11);
    std::set<std::int64_t> seen;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t value = order(i);
      EXPECT_GE(value, 0);
      EXPECT_LT(value, size);
      seen.insert(value);
    }
    EXPECT_EQ(static_cast<std::int64_t>(seen.size()), size);
  }
}

TEST(Permutation, MovesMostThingsAndDependsOnTheSeed) {
  const Permutation one(1000, 1), two(1000, 2);
  int unmoved = 0, equal = 0;
  for (std::int64_t i = 0; i < 1000; ++i) {
    unmoved += one(i) == i ? 1 : 0;
    equal += one(i) == two(i) ? 1 : 0;
  }
  EXPECT_LT(unmoved, 20);
  EXPECT_LT(equal, 20);
}

} // namespace
} // namespace fcc
