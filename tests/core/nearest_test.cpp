#include "fcc/core/nearest.h"

#include <gtest/gtest.h>

namespace fcc {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsAndSubstitutions) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("same", "same"), 0U);
}

TEST(Nearest, FindsSlipsButNothingFarAway) {
  const std::vector<std::string> names{"steps", "segments", "lr"};
  EXPECT_EQ(nearest("setps", names), "steps");
  EXPECT_EQ(nearest("segment", names), "segments");
  EXPECT_EQ(nearest("learning_rate", names), "");
  EXPECT_EQ(nearest("zz", names), "");
  EXPECT_EQ(nearest_hint("step", names), "did you mean `steps`?");
  EXPECT_EQ(nearest_hint("qqqq", names), "");
}

} // namespace
} // namespace fcc
