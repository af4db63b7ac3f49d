#include "text/utf8.h"

#include <algorithm>
#include <cstring>

namespace fcc {
namespace {

struct Lead {
  std::size_t bytes;                    ///< of the whole character; 0: no character starts so
  unsigned char second_min, second_max; ///< what the second byte may be
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) {
    return {1, 0, 0};
  }
  if (byte < 0xC2 || byte > 0xF4) {
    return {0, 0, 0};
  }
  if (byte < 0xE0) {
    return {2, 0x80, 0xBF};
  }
  if (byte < 0xF0) {
    return {
        3,
        static_cast<unsigned char>(byte == 0xE0 ? 0xA0 : 0x80),
        static_cast<unsigned char>(byte == 0xED ? 0x9F : 0xBF)};
  }
  return {
      4,
      static_cast<unsigned char>(byte == 0xF0 ? 0x90 : 0x80),
      static_cast<unsigned char>(byte == 0xF4 ? 0x8F : 0xBF)};
}

/// How many bytes of `text` go together as (the start of) the character of `lead`.
std::size_t matching_bytes(std::string_view text, const Lead& lead) {
  const std::size_t end = std::min(text.size(), lead.bytes);
  for (std::size_t i = 1; i < end; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool fits =
        i == 1 ? byte >= lead.second_min && byte <= lead.second_max : (byte & 0xC0) == 0x80;
    if (!fits) {
      return i;
    }
  }
  return end;
}

} // namespace

std::size_t utf8_character_bytes(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const Lead lead = lead_of(static_cast<unsigned char>(text[0]));
  return matching_bytes(text, lead) == lead.bytes ? lead.bytes : 0;
}

std::size_t valid_utf8_prefix(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080u;
  std::size_t i = 0;
  while (i < text.size()) {
    if (text.size() - i >= 8) {
      std::uint64_t word;
      std::memcpy(&word, text.data() + i, 8);
      if ((word & kHighBits) == 0) {
        i += 8;
        continue;
      }
    }
    const std::size_t bytes = utf8_character_bytes(text.substr(i));
    if (bytes == 0) {
      return i;
    }
    i += bytes;
  }
  return i;
}

std::size_t complete_utf8_bytes(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const std::string_view tail = text.substr(text.size() - back);
    const auto first = static_cast<unsigned char>(tail[0]);
    if ((first & 0xC0) == 0x80) {
      continue;
    }
    const Lead lead = lead_of(first);
    const bool open = lead.bytes > back && matching_bytes(tail, lead) == back;
    return text.size() - (open ? back : 0);
  }
  return text.size();
}

char32_t decode_utf8_character(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (first < 0x80) {
    return first;
  }
  char32_t value = first & (0x7Fu >> character.size());
  for (const char c : character.substr(1)) {
    value = (value << 6) | (static_cast<unsigned char>(c) & 0x3Fu);
  }
  return value;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3F));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

} // namespace fcc
