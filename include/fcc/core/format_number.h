#pragma once

#include <string>

namespace fcc {

/// A number with `decimals` places; `nan` and `inf` as such.
std::string format_number(double value, int decimals);

} // namespace fcc
