#pragma once

#include <cstdint>

namespace fcc::kernels {

/// Division of numbers in [0, 2^31) by a positive number that is known before the launch: one
/// multiplication and one shift (Granlund and Montgomery 1994).
class FastDivisor {
 public:
  FastDivisor() = default;

  __host__ explicit FastDivisor(int divisor) : divisor_(divisor) {
    while ((int64_t{1} << (shift_ + 1)) < divisor) {
      ++shift_;
    }
    // ceil(2^(32 + shift) / divisor), at most 2^32 - 1 for divisor > 1.
    const uint64_t power = uint64_t{1} << (32U + static_cast<unsigned>(shift_));
    const auto wide = static_cast<uint64_t>(divisor);
    multiplier_ = static_cast<uint32_t>((power + wide - 1) / wide);
  }

  [[nodiscard]] __host__ __device__ __forceinline__ int value() const {
    return divisor_;
  }

  __device__ __forceinline__ int quotient(int number) const {
    const uint32_t high = __umulhi(static_cast<uint32_t>(number), multiplier_);
    return divisor_ == 1 ? number : static_cast<int>(high >> static_cast<unsigned>(shift_));
  }

 private:
  int divisor_ = 1;
  uint32_t multiplier_ = 0;
  int shift_ = 0;
};

} // namespace fcc::kernels
