#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fcc {

/// Element types of tensors in files and in memory.
enum class DType : std::uint8_t {
  kF64,
  kF32,
  kBF16,
  kF16,
  kI64,
  kI32,
  kU32,
  kI16,
  kU16,
  kI8,
  kU8,
  kBool
};

/// Bytes of one element.
std::int64_t dtype_bytes(DType dtype);

/// The name that the safetensors format uses: `F32`, `BF16`, `I64`, …
std::string_view dtype_name(DType dtype);

/// The inverse of `dtype_name`. Errors: `FormatError` on an unknown name.
DType dtype_from_name(std::string_view name);

} // namespace fcc
