#include "fcc/core/printable.h"

#include <algorithm>

namespace fcc {
namespace {

bool is_control(unsigned char byte) {
  return byte < 0x20 || byte == 0x7F;
}

/// U+0080 to U+009F, which some terminals obey as they do ESC: C2 80 to C2 9F.
bool is_c1(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]) == 0xC2 && i + 1 < text.size() &&
         static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
         static_cast<unsigned char>(text[i + 1]) < 0xA0;
}

void append_escape(std::string& out, unsigned char byte) {
  switch (byte) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\x";
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
  }
}

} // namespace

std::string printable(std::string_view text, std::string_view kept) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (is_c1(text, i)) {
      append_escape(out, byte);
      append_escape(out, static_cast<unsigned char>(text[++i]));
    } else if (is_control(byte) && kept.find(text[i]) == std::string_view::npos) {
      append_escape(out, byte);
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string printable_start(std::string_view text, std::size_t max_bytes) {
  std::size_t end = std::min(text.size(), max_bytes);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end; // not inside a character
  }
  const std::string start = printable(text.substr(0, end));
  return end == text.size() ? start : start + "… (" + std::to_string(text.size()) + " bytes)";
}

} // namespace fcc
