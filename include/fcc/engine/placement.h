#pragma once

#include <cstdint>
#include <utility>

#include <ATen/core/Tensor.h>

namespace fcc {

/// Lays tensors one after another into a flat buffer of bytes. Without a buffer it only counts.
class Placement {
 public:
  Placement() = default;
  explicit Placement(at::Tensor bytes) : bytes_(std::move(bytes)) {}

  /// The next tensor, not initialised; undefined where there is no buffer.
  at::Tensor take(at::IntArrayRef sizes, at::ScalarType dtype);

  std::int64_t used_bytes() const {
    return used_;
  }

 private:
  at::Tensor bytes_;
  std::int64_t used_ = 0;
};

} // namespace fcc
