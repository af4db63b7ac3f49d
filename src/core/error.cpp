#include "fcc/core/error.h"

#include <utility>

#include "fcc/core/printable.h"

namespace fcc {
namespace {

// Bounds of each part, whatever a file holds: a place may be a path, rules may be a list of them.
constexpr std::size_t kMaxPlaceBytes = 5000;
constexpr std::size_t kMaxValueBytes = 400;

std::string compose(
    const std::string& where,
    const std::string& rule,
    const std::string& value,
    const std::string& hint) {
  // A rule may be several lines; what else it holds comes from files as the other parts do.
  const std::string told = printable(rule, "\n");
  std::string text = where.empty() ? told : printable_start(where, kMaxPlaceBytes) + ": " + told;
  if (!value.empty()) {
    text += "; got " + printable_start(value, kMaxValueBytes);
  }
  if (!hint.empty()) {
    text += " (" + printable(hint, "\n") + ")";
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
