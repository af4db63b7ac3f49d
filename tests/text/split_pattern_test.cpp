#include "text/split_pattern.h"

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "text/unicode_additions.h"

namespace fcc {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const std::string& pattern, const std::string& text, std::size_t limit = 1000) {
  const SplitPattern split_pattern(pattern, "test");
  SplitPattern::Scratch scratch;
  const auto tables =
      has_unicode_additions(text) ? UnicodeTables::kWithAdditions : UnicodeTables::kLibrary;
  Pieces pieces;
  for (std::size_t start = 0; start < text.size();) {
    std::vector<std::size_t> ends;
    const std::size_t stop = split_pattern.cut(text, start, limit, tables, scratch, ends);
    for (const std::size_t end : ends) {
      pieces.push_back(text.substr(start, end - start));
      start = end;
    }
    EXPECT_EQ(start, stop);
  }
  return pieces;
}

TEST(SplitPattern, KeepsMatchesAndWhatLiesBetween) {
  EXPECT_EQ(split("[0-9]", "a12 b3"), (Pieces{"a", "1", "2", " b", "3"}));
  EXPECT_EQ(split("x", "abc"), (Pieces{"abc"}));
  EXPECT_EQ(split("x", ""), Pieces{});
}

TEST(SplitPattern, GivesTheSamePiecesInSmallPortions) {
  const std::string text = "one two  three\n4 five é語 6";
  const std::string pattern = " ?\\p{L}+| ?\\p{N}+|\\s+(?!\\S)|\\s+";
  for (const std::size_t limit : {1u, 2u, 3u, 7u}) {
    EXPECT_EQ(split(pattern, text, limit), split(pattern, text)) << limit;
  }
}

TEST(SplitPattern, PassesOverEmptyMatches) {
  EXPECT_EQ(split("b*", "aébba"), (Pieces{"aé", "bb", "a"}));
  EXPECT_EQ(split("b*", "aa", 1), (Pieces{"aa"}));
}

TEST(SplitPattern, KnowsLettersDigitsAndSpacesOfUnicode16) {
  EXPECT_EQ(split("\\p{L}+", "1\U00031350\ua7dc1"), (Pieces{"1", "\U00031350\ua7dc", "1"}));
  EXPECT_EQ(split("[^\\p{L}\\p{N}]+", "a\U00031350!"), (Pieces{"a\U00031350", "!"}));
  EXPECT_EQ(split("\\P{N}+", "a\U00011bf0!"), (Pieces{"a", "\U00011bf0", "!"}));
  EXPECT_EQ(split("\\s+", "a\u180eb \u2003"), (Pieces{"a\u180eb", " \u2003"}));
  EXPECT_EQ(split("\\S+", "a\u180eb \u2003c"), (Pieces{"a\u180eb", " \u2003", "c"}));
  EXPECT_EQ(split("\\d", "\U00011bf0a"), (Pieces{"\U00011bf0", "a"}));
}

TEST(SplitPattern, CountsTheStepsOfAWholeTextNotOfOneMatch) {
  // Every match is harmless, a thousand of them are not; the text of one long run needs many steps
  // at one place, and gets them.
  const SplitPattern cubic("a(?=a*a*a*c)|a", "test");
  SplitPattern::Scratch scratch;
  const std::string text(2000, 'a');
  scratch.begin_text(text.size());
  std::vector<std::size_t> ends;
  EXPECT_THROW(cubic.cut(text, 0, text.size(), UnicodeTables::kLibrary, scratch, ends), Error);
  const SplitPattern plain("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+|\\S+", "test");
  const std::string run = std::string(4 << 20, ' ') + "a";
  scratch.begin_text(run.size());
  ends.clear();
  EXPECT_EQ(plain.cut(run, 0, 1000, UnicodeTables::kLibrary, scratch, ends), run.size());
}

TEST(SplitPattern, EndsARunawayPatternWithAnError) {
  EXPECT_THROW(split("(a+)+[bc]", std::string(60, 'a')), Error);
  EXPECT_THROW(split("((a|b)*?)*c", std::string(2000000, 'a')), Error);
}

TEST(UnicodeAdditions, AreFoundAnywhereInAText) {
  EXPECT_FALSE(has_unicode_additions(""));
  EXPECT_FALSE(has_unicode_additions("plain é語 😀 text that is longer than a word of memory"));
  EXPECT_TRUE(has_unicode_additions("plain é語 😀 text \U00031350 that is longer"));
  EXPECT_TRUE(has_unicode_additions("\ua7cb"));
  EXPECT_TRUE(has_unicode_additions("0123456789\u180e"));
  EXPECT_EQ(unicode_additions_of("Lt"), "");
  EXPECT_NE(unicode_additions_of("L").find("\\x{A7CB}-\\x{A7CC}"), std::string::npos);
}

} // namespace
} // namespace fcc
