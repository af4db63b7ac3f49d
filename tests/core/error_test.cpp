#include "fcc/core/error.h"

#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "fcc/core/error_at.h"

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

template <typename E>
E moved(const E& error) {
  try {
    with_place("data.train.0.path", [&]() -> int { throw E(error); });
  } catch (const E& caught) {
    return caught;
  }
  return E("", "nothing was thrown");
}

TEST(WithPlace, PutsThePlaceBeforeTheErrorsOwnAndKeepsItsKind) {
  EXPECT_STREQ(
      moved(FormatError("a.txt", "must be even", "5", "try 4")).what(),
      "data.train.0.path: a.txt: must be even; got 5 (try 4)");
  EXPECT_STREQ(moved(IoError("a", "r")).what(), "data.train.0.path: a: r");
  EXPECT_STREQ(moved(ConfigError("", "r")).what(), "data.train.0.path: r");
  EXPECT_STREQ(moved(Error("a", "r")).what(), "data.train.0.path: a: r");
  EXPECT_EQ(with_place("a", [] { return 5; }), 5);
  EXPECT_THROW(with_place("a", [] { throw std::out_of_range("b"); }), std::out_of_range);
}

TEST(Check, ThrowsOnlyWhenTheRuleIsBroken) {
  EXPECT_NO_THROW(check(true, "w", "r"));
  EXPECT_THROW(check(false, "w", "r"), Error);
}

TEST(Error, ShowsControlCharactersOfFilesInsteadOfSendingThem) {
  const std::string steered =
      Error("a\x1b[2Jb\n", "must be\x07\nso", "v\x1b]0;t\xc2\x9b", "h\x7f").what();
  EXPECT_EQ(steered, "a\\x1b[2Jb\\n: must be\\x07\nso; got v\\x1b]0;t\\xc2\\x9b (h\\x7f)");
  EXPECT_STREQ(Error("ä", "≥ 1", "日本").what(), "ä: ≥ 1; got 日本");
}

TEST(Error, BoundsWhatAFilePutsIntoIt) {
  const std::string text =
      Error(std::string(1'000'000, 'w'), "r", std::string(1'000'000, 'v')).what();
  EXPECT_LT(text.size(), 10'000U);
  EXPECT_NE(text.find("(1000000 bytes)"), std::string::npos);
}

} // namespace
} // namespace fcc
