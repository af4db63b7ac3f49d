#include "fcc/core/error.h"

#include <algorithm>
#include <utility>

namespace fcc {
namespace {

/// The value on one line and of a bounded length, whatever a file holds.
std::string shown(const std::string& value) {
  constexpr std::size_t kMaxBytes = 400;
  std::size_t end = std::min(value.size(), kMaxBytes);
  while (end < value.size() && end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80) {
    --end; // not inside a character
  }
  std::string text;
  for (const char c : value.substr(0, end)) {
    if (c == '\n' || c == '\r' || c == '\t') {
      text += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else {
      text += c;
    }
  }
  return end == value.size() ? text : text + "… (" + std::to_string(value.size()) + " bytes)";
}

std::string compose(
    const std::string& where,
    const std::string& rule,
    const std::string& value,
    const std::string& hint) {
  std::string text = where.empty() ? rule : where + ": " + rule;
  if (!value.empty()) {
    text += "; got " + shown(value);
  }
  if (!hint.empty()) {
    text += " (" + hint + ")";
  }
  return text;
}

} // namespace

Error::Error(std::string where, std::string rule, std::string value, std::string hint)
    : std::runtime_error(compose(where, rule, value, hint)),
      where_(std::move(where)),
      rule_(std::move(rule)),
      value_(std::move(value)),
      hint_(std::move(hint)) {}

void check(bool holds, const char* where, const char* rule, const std::string& value) {
  if (!holds) {
    throw Error(where, rule, value);
  }
}

} // namespace fcc
