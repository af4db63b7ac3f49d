#pragma once

#include <array>
#include <cstdint>

namespace fcc {

/// A counter-based random stream: value i depends on (seed, stream, i) alone, so any position is
/// reached in O(1) and the whole state is three numbers that a checkpoint can hold.
///
/// Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
class Random {
 public:
  /// `stream` keeps independent uses of one seed apart (one number per dataset, stage, row …).
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0, std::uint64_t position = 0)
      : seed_(seed), stream_(stream), position_(position) {}

  /// The next 64 random bits.
  std::uint64_t next();

  /// Uniform in [0, 1), 53 bits.
  double uniform();

  /// Uniform integer in [0, bound), unbiased; bound >= 1.
  std::int64_t below(std::int64_t bound);

  std::uint64_t position() const {
    return position_;
  }

 private:
  std::uint64_t seed_, stream_, position_;
};

} // namespace fcc
