#include "common/checks.h"

#include <cctype>
#include <charconv>
#include <cstdlib>
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

CLI::Validator seed_number() {
  const auto check = [](const std::string& text) -> std::string {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    return error == std::errc() && rest == end
               ? std::string()
               : "must be a whole number, 0 or more, below 2^64; got " + text;
  };
  return {check, /*validator_desc=*/std::string(), "seed_number"};
}

CLI::Validator size_in_bytes(bool kb_is_1000) {
  const CLI::AsSizeValue convert(kb_is_1000);
  const auto read = [convert](std::string& text) -> std::string {
    if (text.empty() || std::isdigit(static_cast<unsigned char>(text.front())) == 0) {
      return "must be a number of bytes, or one with a unit, as 64MB; got " + text;
    }
    return convert(text);
  };
  return {read, /*validator_desc=*/std::string(), "size_in_bytes"};
}

CLI::Validator binary_thousands() {
  const auto read = [](std::string& text) -> std::string {
    const char unit = text.empty() ? ' ' : static_cast<char>(std::tolower(text.back()));
    const std::int64_t factor = unit == 'k' ? 1024 : unit == 'm' ? 1024 * 1024 : 1;
    std::int64_t value = 0;
    const char* const end = text.data() + text.size() - (factor > 1 ? 1 : 0);
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (factor > 1 && error == std::errc() && rest == end &&
        std::abs(value) <= INT64_MAX / factor) {
      text = std::to_string(value * factor);
    }
    return {}; // anything else is for the checks after it
  };
  return {read, /*validator_desc=*/std::string(), "binary_thousands"};
}

} // namespace fcc::tools
