#pragma once

#include <cstdint>

namespace fcc {

/// A permutation of 0 … size - 1 that depends on `seed` alone; each value is O(1) in time and
/// memory (four Feistel rounds over the smallest even number of bits, walked until inside).
class Permutation {
 public:
  Permutation(std::int64_t size, std::uint64_t seed);
  std::int64_t operator()(std::int64_t index) const;

 private:
  std::uint64_t size_, seed_;
  int half_bits_ = 1;
};

} // namespace fcc
