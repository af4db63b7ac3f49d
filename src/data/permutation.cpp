#include "data/permutation.h"

#include <string>

#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {

Permutation::Permutation(std::int64_t size, std::uint64_t seed)
    : size_(static_cast<std::uint64_t>(size)), seed_(seed) {
  if (size < 1) {
    throw Error("Permutation", "size must be at least 1", std::to_string(size));
  }
  while (half_bits_ < 31 && (std::uint64_t{1} << (2 * half_bits_)) < size_) {
    ++half_bits_;
  }
}

std::int64_t Permutation::operator()(std::int64_t index) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<std::uint64_t>(index);
  // A Feistel network permutes the whole power of four; following its cycle back into 0 … size - 1
  // permutes that range.
  do {
    std::uint64_t left = value >> half_bits_;
    std::uint64_t right = value & mask;
    for (std::uint64_t round = 0; round < 4; ++round) {
      const std::uint64_t mixed = left ^ (Random(seed_, round, right).next() & mask);
      left = right;
      right = mixed;
    }
    value = (left << half_bits_) | right;
  } while (value >= size_);
  return static_cast<std::int64_t>(value);
}

} // namespace fcc
