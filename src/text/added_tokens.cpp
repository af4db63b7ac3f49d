#include "text/added_tokens.h"

#include <algorithm>

#include "text/utf8.h"

namespace fcc {
namespace {

/// Unicode's White_Space.
bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::size_t white_space_after(std::string_view text, std::size_t at) {
  while (const std::size_t bytes = utf8_character_bytes(text.substr(at))) {
    if (!is_white_space(decode_utf8_character(text.substr(at, bytes)))) {
      break;
    }
    at += bytes;
  }
  return at;
}

std::size_t white_space_before(std::string_view text, std::size_t from, std::size_t at) {
  while (at > from) {
    std::size_t start = at - 1;
    while (start > from && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) {
      --start;
    }
    const std::string_view character = text.substr(start, at - start);
    if (utf8_character_bytes(character) != character.size() ||
        !is_white_space(decode_utf8_character(character))) {
      break;
    }
    at = start;
  }
  return at;
}

std::size_t first_byte(const AddedToken& token) {
  return static_cast<unsigned char>(token.content[0]);
}

} // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) {
    return first_byte(a) != first_byte(b) ? first_byte(a) < first_byte(b)
                                          : a.content.size() > b.content.size();
  });
  for (const AddedToken& token : tokens_) {
    ++begin_[first_byte(token) + 1];
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    begin_[byte + 1] += begin_[byte];
  }
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::find(
    std::string_view text,
    std::size_t from) const {
  for (std::size_t at = from; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    for (std::uint32_t i = begin_[byte]; i < begin_[byte + 1]; ++i) {
      const AddedToken& token = tokens_[i];
      if (text.substr(at).starts_with(token.content)) {
        const std::size_t end = at + token.content.size();
        return Match{
            .start = token.lstrip ? white_space_before(text, from, at) : at,
            .end = token.rstrip ? white_space_after(text, end) : end,
            .id = token.id};
      }
    }
  }
  return std::nullopt;
}

} // namespace fcc
