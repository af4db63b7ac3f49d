#include "fcc/config/field.h"

#include <cmath>
#include <cstdio>

namespace fcc {
namespace {

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", value);
  return text;
}

} // namespace

std::string range_text(const Field& field) {
  std::string text;
  if (std::isfinite(field.min)) {
    text = (field.above_min ? "above " : "at least ") + number_text(field.min);
  }
  if (std::isfinite(field.max)) {
    text += (text.empty() ? "at most " : " and at most ") + number_text(field.max);
  }
  return text;
}

} // namespace fcc
