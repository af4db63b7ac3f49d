#include "fcc/core/error.h"

#include <gtest/gtest.h>

namespace fcc {
namespace {

TEST(Error, TellsWhereRuleValueAndHint) {
  EXPECT_STREQ(
      Error("a.json:3", "must be even", "5", "try 4").what(),
      "a.json:3: must be even; got 5 (try 4)");
  EXPECT_STREQ(Error("", "must be even").what(), "must be even");
  const FormatError error("w", "r", "v", "h");
  EXPECT_EQ(error.where() + error.rule() + error.value() + error.hint(), "wrvh");
}

TEST(Check, ThrowsOnlyWhenTheRuleIsBroken) {
  EXPECT_NO_THROW(check(true, "w", "r"));
  EXPECT_THROW(check(false, "w", "r"), Error);
}

} // namespace
} // namespace fcc
