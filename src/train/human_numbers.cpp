#include "fcc/train/human_numbers.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace fcc {
namespace {

/// `value` to three digits, never with an exponent.
std::string three_digits(double value) {
  char text[64];
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

} // namespace

std::string grouped_text(std::int64_t value) {
  std::string digits = std::to_string(value);
  const std::int64_t sign = value < 0 ? 1 : 0;
  for (auto at = static_cast<std::int64_t>(digits.size()) - 3; at > sign; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) {
    return std::to_string(bytes) + " bytes";
  }
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return three_digits(value) + " " + kUnits[unit];
}

std::string duration_text(double seconds) {
  constexpr double kMinute = 60, kHour = 3600, kDay = 86400, kYear = 365.25 * kDay;
  char text[64];
  if (seconds < 2 * kMinute) {
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else if (seconds < 2 * kHour) {
    std::snprintf(text, sizeof text, "%.0f min", seconds / kMinute);
  } else if (seconds < 3 * kDay) {
    std::snprintf(text, sizeof text, "%.1f h", seconds / kHour);
  } else if (seconds < kYear) {
    std::snprintf(text, sizeof text, "%.0f days", seconds / kDay);
  } else if (seconds < 10 * kYear) {
    std::snprintf(text, sizeof text, "%.1f years", seconds / kYear);
  } else {
    return grouped_text(std::llround(seconds / kYear)) + " years";
  }
  return text;
}

std::string times_text(double times) {
  char text[64];
  if (times < 1) {
    std::snprintf(text, sizeof text, "%.*f %% of it", times < 0.1 ? 1 : 0, 100 * times);
  } else if (times < 100) {
    std::snprintf(text, sizeof text, "%.1f times", times);
  } else {
    return grouped_text(std::llround(times)) + " times";
  }
  return times < 0.0005 ? "less than 0.1 % of it" : text;
}

} // namespace fcc
