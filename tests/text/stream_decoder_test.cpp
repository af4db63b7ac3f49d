#include <gtest/gtest.h>

#include "fcc/core/random.h"
#include "fcc/text/tokenizer.h"
#include "fcc/text/words_tokenizer.h"

namespace fcc {
namespace {

/// Pieces of the stream; every piece but the last must be whole characters.
std::vector<std::string> stream(
    const std::shared_ptr<const Tokenizer>& tokenizer,
    const std::vector<std::int32_t>& ids) {
  StreamDecoder decoder(tokenizer);
  std::vector<std::string> pieces;
  for (const auto id : ids) {
    pieces.push_back(decoder.push(id));
  }
  pieces.push_back(decoder.finish());
  return pieces;
}

std::string join(const std::vector<std::string>& pieces) {
  std::string text;
  for (const auto& piece : pieces) {
    text += piece;
  }
  return text;
}

TEST(StreamDecoder, HoldsBackBytesUntilCharactersAreWhole) {
  const auto bytes = make_tokenizer({});
  const auto pieces = stream(bytes, bytes->encode("aé€😀"));
  const std::vector<std::string> expected = {"a", "", "é", "", "", "€", "", "", "", "😀", ""};
  EXPECT_EQ(pieces, expected);
}

TEST(StreamDecoder, PassesBytesOnThatCannotBecomeACharacter) {
  const auto bytes = make_tokenizer({});
  EXPECT_EQ(
      stream(bytes, bytes->encode("\xFF\xE2\x82x\x80\xF0\x9F")),
      (std::vector<std::string>{"\xFF", "", "", "\xE2\x82x", "\x80", "", "", "\xF0\x9F"}));
}

TEST(StreamDecoder, JoinedEqualsDecodeOfRandomBytesOfAnyLength) {
  const auto bytes = make_tokenizer({});
  Random random(7);
  for (const int length : {0, 1, 63, 64, 65, 113, 1000}) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < length; ++i) {
      // Mostly bytes of long characters, so that something is held back nearly always.
      ids.push_back(static_cast<std::int32_t>(
          random.below(3) == 0 ? 0xE0 + random.below(0x18) : random.below(256)));
    }
    EXPECT_EQ(join(stream(bytes, ids)), bytes->decode(ids)) << length;
  }
}

TEST(StreamDecoder, JoinsWordsAsDecodeDoesOverLongStreams) {
  const auto words = make_words_tokenizer({"one", ".", "3", ",", "(", ")", "it", "'", "s"});
  Random random(11);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 500; ++i) {
    ids.push_back(static_cast<std::int32_t>(random.below(words->vocab_size())));
  }
  EXPECT_EQ(join(stream(words, ids)), words->decode(ids));
}

TEST(StreamDecoder, ContinuesAPromptWithoutRepeatingIt) {
  const auto words = make_words_tokenizer({"the", "key", "is", "9", "0", "."});
  StreamDecoder decoder(words);
  decoder.prime(words->encode("the key is the key is the key is"));
  EXPECT_EQ(decoder.push(3), " 9");
  EXPECT_EQ(decoder.push(4), "0");
  EXPECT_EQ(decoder.push(5), ".");
  EXPECT_EQ(decoder.finish(), "");
}

} // namespace
} // namespace fcc
