#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "fcc/core/dtype.h"

namespace fcc {

/// Bytes of a tensor; nothing if a dimension is negative or the product does not fit 63 bits.
inline std::optional<std::uint64_t> tensor_bytes(DType dtype, std::span<const std::int64_t> shape) {
  std::int64_t product = dtype_bytes(dtype);
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(product, size, &product)) {
      return std::nullopt;
    }
  }
  return static_cast<std::uint64_t>(product);
}

} // namespace fcc
