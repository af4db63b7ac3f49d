#include "fcc/core/format_number.h"

#include <array>
#include <cstdio>

namespace fcc {

std::string format_number(double value, int decimals) {
  std::array<char, 400> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  return buffer.data();
}

} // namespace fcc
