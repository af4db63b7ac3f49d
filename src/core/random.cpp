#include "fcc/core/random.h"

#include <string>

#include "fcc/core/error.h"

namespace fcc {
namespace {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::uint64_t key) {
  auto key_0 = static_cast<std::uint32_t>(key);
  auto key_1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product_0 = 0xD2511F53ULL * counter[0];
    const std::uint64_t product_1 = 0xCD9E8D57ULL * counter[2];
    counter = {
        static_cast<std::uint32_t>(product_1 >> 32) ^ counter[1] ^ key_0,
        static_cast<std::uint32_t>(product_1),
        static_cast<std::uint32_t>(product_0 >> 32) ^ counter[3] ^ key_1,
        static_cast<std::uint32_t>(product_0)};
    key_0 += 0x9E3779B9U;
    key_1 += 0xBB67AE85U;
  }
  return counter;
}

} // namespace

std::uint64_t Random::next() {
  const std::array<std::uint32_t, 4> bits = philox(
      {static_cast<std::uint32_t>(position_),
       static_cast<std::uint32_t>(position_ >> 32),
       static_cast<std::uint32_t>(stream_),
       static_cast<std::uint32_t>(stream_ >> 32)},
      seed_);
  ++position_;
  return (static_cast<std::uint64_t>(bits[1]) << 32) | bits[0];
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

std::int64_t Random::below(std::int64_t bound) {
  if (bound < 1) {
    throw Error("Random::below", "bound must be at least 1", std::to_string(bound));
  }
  const auto range = static_cast<std::uint64_t>(bound);
  // Values past the last whole multiple of `range` would favour small results.
  const std::uint64_t limit = UINT64_MAX - (UINT64_MAX % range + 1) % range;
  std::uint64_t drawn = next();
  while (drawn > limit) {
    drawn = next();
  }
  return static_cast<std::int64_t>(drawn % range);
}

} // namespace fcc
