#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fcc {

/// The bytes of the UTF-8 character at the start of `text`, or 0 if there is none: overlong forms,
/// surrogates, values above U+10FFFF and cut characters are no characters (Unicode 15, table 3-7).
std::size_t utf8_character_bytes(std::string_view text);

/// The length of the longest start of `text` that is valid UTF-8.
std::size_t valid_utf8_prefix(std::string_view text);

/// `text.size()` less the bytes at its end that begin a character and could still become one.
std::size_t complete_utf8_bytes(std::string_view text);

/// The code point of a whole, valid character.
char32_t decode_utf8_character(std::string_view character);

/// Appends the UTF-8 form of `code_point`.
void append_utf8(std::string& text, char32_t code_point);

} // namespace fcc
