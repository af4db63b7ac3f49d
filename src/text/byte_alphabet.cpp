#include "text/byte_alphabet.h"

#include <array>

#include "text/utf8.h"

namespace fcc {
namespace {

constexpr std::size_t kNumCharacters = 256 + 68; // up to U+0143

struct Alphabet {
  std::array<char32_t, 256> characters{};
  std::array<int, kNumCharacters> bytes{}; // -1: none
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.bytes.fill(-1);
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) ||
                           (byte >= 0xAE && byte <= 0xFF);
    const char32_t character = printable ? static_cast<char32_t>(byte) : next++;
    alphabet.characters[static_cast<std::size_t>(byte)] = character;
    alphabet.bytes[character] = byte;
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

} // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view characters) {
  std::string bytes;
  for (std::size_t i = 0; i < characters.size();) {
    const std::size_t length = utf8_character_bytes(characters.substr(i));
    if (length == 0) {
      return std::nullopt;
    }
    const char32_t character = decode_utf8_character(characters.substr(i, length));
    if (character >= kNumCharacters || kAlphabet.bytes[character] < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(kAlphabet.bytes[character]));
    i += length;
  }
  return bytes;
}

std::string alphabet_of_bytes(std::string_view bytes) {
  std::string characters;
  for (const char byte : bytes) {
    append_utf8(characters, kAlphabet.characters[static_cast<unsigned char>(byte)]);
  }
  return characters;
}

} // namespace fcc
