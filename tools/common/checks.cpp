#include "common/checks.h"

#include <charconv>
#include <string>

namespace fcc::tools {

CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  const auto check = [least, most](const std::string& text) -> std::string {
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && rest == end && value >= least && value <= most) {
      return {};
    }
    const bool bounded = most < std::numeric_limits<std::int64_t>::max();
    return "must be a whole number, " + std::to_string(least) +
           (bounded ? " to " + std::to_string(most) : " or more") + "; got " + text;
  };
  return {check, /*validator_desc=*/std::string(), "whole_number"};
}

} // namespace fcc::tools
