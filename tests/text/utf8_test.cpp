#include "text/utf8.h"

#include <gtest/gtest.h>

namespace fcc {
namespace {

TEST(Utf8, EveryCodePointButSurrogatesIsACharacter) {
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    std::string text;
    append_utf8(text, c);
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    ASSERT_EQ(utf8_character_bytes(text), surrogate ? 0 : text.size()) << c;
    if (!surrogate) {
      ASSERT_EQ(static_cast<std::uint32_t>(decode_utf8_character(text)), c);
      ASSERT_EQ(complete_utf8_bytes(text), text.size());
      ASSERT_EQ(complete_utf8_bytes(text.substr(0, text.size() - 1)), 0u) << c;
    }
  }
}

TEST(Utf8, OverlongCutAndTooLargeFormsAreNoCharacters) {
  for (const char* text :
       {"\xC0\x80",
        "\xC1\xBF",
        "\xE0\x9F\xBF",
        "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\x80",
        "\xBF",
        "\xE2\x82",
        "\xC3",
        "\xFF",
        "\xED\xA0\x80"}) {
    EXPECT_EQ(utf8_character_bytes(text), 0u);
    EXPECT_EQ(valid_utf8_prefix("0123456789" + std::string(text) + "after"), 10u);
  }
  EXPECT_EQ(utf8_character_bytes(""), 0u);
}

TEST(Utf8, OnlyAnOpenCharacterAtTheEndIsIncomplete) {
  EXPECT_EQ(complete_utf8_bytes("a\xE2\x82"), 1u);
  EXPECT_EQ(complete_utf8_bytes("a\xF0\x9F\x98"), 1u);
  EXPECT_EQ(complete_utf8_bytes("a\xE0\x80"), 3u);
  EXPECT_EQ(complete_utf8_bytes("a\x80\x80\x80\x80"), 5u);
  EXPECT_EQ(complete_utf8_bytes("\xE2\x82\xAC"), 3u);
}

} // namespace
} // namespace fcc
