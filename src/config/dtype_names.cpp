#include "fcc/config/dtype_names.h"

#include <utility>

namespace fcc {
namespace {

constexpr std::pair<std::string_view, std::string_view> kOtherNames[] = {
    {"bf16", "bfloat16"},
    {"fp16", "float16"},
    {"f16", "float16"},
    {"half", "float16"},
    {"fp32", "float32"},
    {"f32", "float32"},
    {"float", "float32"},
    {"fp64", "float64"},
    {"f64", "float64"},
    {"double", "float64"}};

} // namespace

std::string_view dtype_by_other_name(std::string_view name) {
  const std::string_view plain = name.starts_with("torch.") ? name.substr(6) : name;
  for (const auto& [theirs, ours] : kOtherNames) {
    if (plain == theirs) {
      return ours;
    }
  }
  return plain;
}

std::string_view absent_dtype_hint(std::string_view name) {
  return dtype_by_other_name(name) == "float16"
             ? "libfcc does not compute in float16; instead bfloat16, or float32"
             : "";
}

} // namespace fcc
