#include "fcc/text/words_tokenizer.h"

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

using Views = std::vector<std::string_view>;
using Ids = std::vector<std::int32_t>;

TEST(SplitWords, MakesEveryDigitAndMarkATokenOfItsOwn) {
  EXPECT_EQ(
      split_words("The pass key is 9054.\n"),
      (Views{"The", "pass", "key", "is", "9", "0", "5", "4", "."}));
  EXPECT_EQ(split_words("\tdon't(x2)  "), (Views{"don", "'", "t", "(", "x", "2", ")"}));
  EXPECT_EQ(split_words("naïve Ὀδυσσεύς"), (Views{"naïve", "Ὀδυσσεύς"}));
  EXPECT_EQ(split_words(""), Views{});
  EXPECT_EQ(split_words(" \n\v\f\r\t"), Views{});
}

TEST(WordsVocabulary, IsSortedDistinctAndBeginsWithTheSpecials) {
  const std::vector<std::string> texts = {"b a 21.", "a c b 1"};
  EXPECT_EQ(
      words_vocabulary(texts, {"<unk>"}),
      (std::vector<std::string>{"<unk>", ".", "1", "2", "a", "b", "c"}));
}

TEST(WordsTokenizer, ReadsBackWhatItWrote) {
  const std::vector<std::string> texts = {
      "The pass key is 9054. Remember it.", "It's (3.5, or 1,000) well-known: yes!"};
  const auto words = make_words_tokenizer(words_vocabulary(texts));
  for (const auto& text : texts) {
    EXPECT_EQ(words->decode(words->encode(text)), text);
  }
}

TEST(WordsTokenizer, GivesTheUnknownTokenOrAnErrorForUnknownWords) {
  const auto with = make_words_tokenizer({"<unk>", "a", "<s>", "</s>"});
  EXPECT_EQ(with->encode("a zebra a"), (Ids{1, 0, 1}));
  const auto without = make_words_tokenizer({"a"});
  try {
    without->encode("a zebra");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.value(), "\"zebra\"");
  }
}

TEST(WordsTokenizer, KnowsItsSpecialTokensAndDecodesThemToNothing) {
  const auto words = make_words_tokenizer({"<s>", "a", "</s>", "b"});
  EXPECT_EQ(words->bos_id(), 0);
  EXPECT_EQ(words->eos_id(), 2);
  EXPECT_EQ(words->decode(Ids{0, 1, 2, 3, 2}), "a b");
  EXPECT_EQ(make_words_tokenizer({"a"})->bos_id(), std::nullopt);
}

TEST(WordsTokenizer, RefusesIdsOutsideTheVocabulary) {
  const auto words = make_words_tokenizer({"a", "b"});
  EXPECT_THROW(words->decode(Ids{2}), Error);
  EXPECT_THROW(words->decode(Ids{-1}), Error);
}

TEST(WordsTokenizer, RefusesEmptyDoubledAndSpacedTokens) {
  EXPECT_THROW(make_words_tokenizer({}), FormatError);
  EXPECT_THROW(make_words_tokenizer({"a", ""}), FormatError);
  EXPECT_THROW(make_words_tokenizer({"a", "b", "a"}), FormatError);
  EXPECT_THROW(make_words_tokenizer({"a b"}), FormatError);
}

TEST(WordsTokenizer, HashTellsVocabulariesApart) {
  EXPECT_EQ(make_words_tokenizer({"a", "b"})->hash(), make_words_tokenizer({"a", "b"})->hash());
  EXPECT_NE(make_words_tokenizer({"a", "b"})->hash(), make_words_tokenizer({"b", "a"})->hash());
}

} // namespace
} // namespace fcc
