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
    return a.content < b.content; // std::string compares bytes as unsigned
  });
  for (const AddedToken& token : tokens_) {
    ++begin_[first_byte(token) + 1];
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    begin_[byte + 1] += begin_[byte];
  }
}

/// The longest token that `text` begins with, or null.
const AddedToken* AddedTokenFinder::longest_at(std::string_view text) const {
  const auto byte = static_cast<unsigned char>(text[0]);
  auto first = tokens_.begin() + begin_[byte], last = tokens_.begin() + begin_[byte + 1u];
  const AddedToken* longest = nullptr;
  // [first, last) begin with the same `depth` bytes as the text.
  for (std::size_t depth = 1; first != last; ++depth) {
    if (last - first == 1) {
      return text.starts_with(first->content) ? &*first : longest;
    }
    if (first->content.size() == depth) {
      longest = &*first++;
    }
    if (depth == text.size()) {
      break;
    }
    const auto next = static_cast<unsigned char>(text[depth]);
    const auto byte_of = [depth](const AddedToken& token) {
      return static_cast<unsigned char>(token.content[depth]);
    };
    first = std::partition_point(
        first, last, [&](const AddedToken& token) { return byte_of(token) < next; });
    last = std::partition_point(
        first, last, [&](const AddedToken& token) { return byte_of(token) == next; });
  }
  return longest;
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::find(std::string_view text, Cursor& cursor)
    const {
  for (std::size_t at = cursor.next; at < text.size(); ++at) {
    const AddedToken* token = longest_at(text.substr(at));
    if (token == nullptr) {
      continue;
    }
    Match match{.start = at, .end = at + token->content.size(), .id = token->id};
    cursor.next = match.end;
    if (token->lstrip) {
      match.start = white_space_before(text, cursor.done, at);
    }
    if (token->rstrip) {
      // Measured once: tokens that are white space themselves would measure it again and again.
      if (match.end < cursor.white_begin || match.end > cursor.white_end) {
        cursor.white_begin = match.end;
        cursor.white_end = white_space_after(text, match.end);
      }
      match.end = cursor.white_end;
    }
    cursor.done = match.end;
    return match;
  }
  return std::nullopt;
}

} // namespace fcc
