#include "fcc/eval/rouge.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace fcc {
namespace {

TEST(Rouge, WordsAreLowerCaseRunsOfLettersAndDigits) {
  const std::vector<std::string> expected{"the", "fox", "s", "2nd", "caf", "x"};
  EXPECT_EQ(rouge_words("The fox's  2nd--caf\xC3\xA9\tx!"), expected);
  EXPECT_TRUE(rouge_words(" .,; ").empty());
}

// 6 and 7 words; "the cat ... the mat" shares the, cat, the, mat (and "was"/"sat" differ).
TEST(Rouge, AgreesWithScoresCountedByHand) {
  const RougeScores scores = rouge("the cat sat on the mat", "The cat was found under the mat.");
  EXPECT_DOUBLE_EQ(scores.rouge_1.precision, 4.0 / 6);
  EXPECT_DOUBLE_EQ(scores.rouge_1.recall, 4.0 / 7);
  EXPECT_DOUBLE_EQ(scores.rouge_1.f1, 8.0 / 13);
  EXPECT_DOUBLE_EQ(scores.rouge_2.precision, 2.0 / 5); // "the cat", "the mat"
  EXPECT_DOUBLE_EQ(scores.rouge_2.recall, 2.0 / 6);
  EXPECT_DOUBLE_EQ(scores.rouge_2.f1, 4.0 / 11);
  EXPECT_DOUBLE_EQ(scores.rouge_l.f1, 8.0 / 13); // the cat the mat
}

// The example of Lin (2004, section 3.2): one reference, three candidates.
TEST(Rouge, TheSubsequenceNeedsOrderButNotNeighbours) {
  const std::string reference = "police killed the gunman";
  EXPECT_DOUBLE_EQ(rouge("police kill the gunman", reference).rouge_l.f1, 0.75);
  EXPECT_DOUBLE_EQ(rouge("the gunman kill police", reference).rouge_l.f1, 0.5);
  EXPECT_DOUBLE_EQ(rouge("the gunman police killed", reference).rouge_l.f1, 0.5);
  EXPECT_DOUBLE_EQ(rouge("the gunman police killed", reference).rouge_1.f1, 1.0);
}

TEST(Rouge, ARepeatedWordCountsAtMostAsOftenAsInTheReference) {
  const RougeScores scores = rouge("the the the the", "the end of the day");
  EXPECT_DOUBLE_EQ(scores.rouge_1.precision, 0.5);
  EXPECT_DOUBLE_EQ(scores.rouge_1.recall, 0.4);
  EXPECT_DOUBLE_EQ(scores.rouge_2.f1, 0.0);
}

TEST(Rouge, EqualTextsScoreOneAndEmptyTextsZero) {
  const RougeScores same = rouge("a b c, a b c", "A b c a b c");
  EXPECT_DOUBLE_EQ(same.rouge_1.f1, 1.0);
  EXPECT_DOUBLE_EQ(same.rouge_2.f1, 1.0);
  EXPECT_DOUBLE_EQ(same.rouge_l.f1, 1.0);
  for (const auto& scores : {rouge("", "a b"), rouge("a b", ""), rouge("", ""), rouge("x", "y")}) {
    EXPECT_EQ(scores.rouge_1.f1, 0.0);
    EXPECT_EQ(scores.rouge_2.f1, 0.0);
    EXPECT_EQ(scores.rouge_l.f1, 0.0);
  }
  EXPECT_EQ(rouge("one", "one").rouge_2.f1, 0.0);
}

TEST(Rouge, LettersThatPythonLowersToAsciiAreCounted) {
  EXPECT_EQ(rouge_words("\u212Aelvin"), std::vector<std::string>{"kelvin"});
  EXPECT_EQ(rouge_words("D\u0130Z"), (std::vector<std::string>{"di", "z"}));
}

TEST(Rouge, StemsAreThoseOfNltksPorterForWordsOfFourLetters) {
  const RougeOptions stem{.stem = true};
  EXPECT_EQ(
      rouge_words("Skies dying ties flies enjoy happily relational radically geology", stem),
      (std::vector<std::string>{
          "sky", "die", "tie", "fli", "enjoy", "happili", "relat", "radic", "geolog"}));
  EXPECT_EQ(
      rouge_words("hopping falling sized agreed plastered succeed the has adoption rolls", stem),
      (std::vector<std::string>{
          "hop", "fall", "size", "agre", "plaster", "succeed", "the", "has", "adopt", "roll"}));
}

struct Golden {
  std::string generated, reference;
  std::array<double, 8> f1; ///< rouge1, rouge2, rougeL, rougeLsum; the same of stems
};

TEST(Rouge, EqualsThePythonPackageWithAndWithoutItsStemmer) {
  const std::vector<Golden> pairs{
#include "eval/rouge_golden.inc"
  };
  for (const Golden& pair : pairs) {
    for (const bool stem : {false, true}) {
      const RougeScores scores = rouge(pair.generated, pair.reference, {.stem = stem});
      const std::array<double, 4> f1{
          scores.rouge_1.f1, scores.rouge_2.f1, scores.rouge_l.f1, scores.rouge_lsum.f1};
      for (std::size_t i = 0; i < f1.size(); ++i) {
        EXPECT_NEAR(f1[i], pair.f1[i + (stem ? 4 : 0)], 1e-12) << pair.generated << " score " << i;
      }
    }
  }
}

} // namespace
} // namespace fcc
