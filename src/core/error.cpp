#include "fcc/core/error.h"

#include <utility>

namespace fcc {
namespace {

std::string compose(
    const std::string& where,
    const std::string& rule,
    const std::string& value,
    const std::string& hint) {
  std::string text = where.empty() ? rule : where + ": " + rule;
  if (!value.empty()) {
    text += "; got " + value;
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
