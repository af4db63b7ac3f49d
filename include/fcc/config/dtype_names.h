#pragma once

#include <string_view>

namespace fcc {

/// The name that this project uses for a dtype spelt as others do (`bf16`, `fp32`, `half`,
/// `torch.float16`): `bfloat16`, `float32`, … `name` itself where it is no such spelling.
std::string_view dtype_by_other_name(std::string_view name);

/// What to do where the dtype `name` is asked of a computation that lacks it (`float16`), or "".
std::string_view absent_dtype_hint(std::string_view name);

} // namespace fcc
