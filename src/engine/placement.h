#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace fcc {

/// A tensor that was laid out: what it holds, and the bytes up to the next one.
struct PlacedTensor {
  std::string_view name; ///< of a string that is never freed
  std::int64_t bytes = 0;
};

/// Lays tensors one after another into a flat buffer of bytes. Without a buffer it only counts, and
/// keeps a list: the same code places buffers and says how large they are.
class Placement {
 public:
  Placement() = default;
  explicit Placement(at::Tensor bytes) : bytes_(std::move(bytes)) {}

  /// The next tensor, not initialised; undefined where there is no buffer.
  at::Tensor take(std::string_view name, at::IntArrayRef sizes, at::ScalarType dtype);

  std::int64_t used_bytes() const {
    return used_;
  }
  /// What was taken, in order; empty where there is a buffer.
  const std::vector<PlacedTensor>& placed() const {
    return placed_;
  }

 private:
  at::Tensor bytes_;
  std::int64_t used_ = 0;
  std::vector<PlacedTensor> placed_;
};

} // namespace fcc
