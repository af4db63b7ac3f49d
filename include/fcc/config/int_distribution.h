#pragma once

#include <cstdint>
#include <vector>

namespace fcc {

class Random;

/// A whole number that is drawn anew each step. In JSON: `8` (fixed), `[2, 4, 8]` (each alike), or
/// `{"uniform": [0, 16]}`, `{"log_uniform": [1, 64], "zero_share": 0.2}` (both ends included).
struct IntDistribution {
  enum class Kind { kFixed, kList, kUniform, kLogUniform };
  Kind kind = Kind::kFixed;
  std::vector<std::int64_t> values; ///< the number, the list, or {min, max}
  double zero_share = 0.0;          ///< probability of 0 before anything else is drawn

  bool operator==(const IntDistribution&) const = default;

  static IntDistribution fixed(std::int64_t value);
  std::int64_t draw(Random& random) const;
  std::int64_t max() const;
  /// The expected value (for estimates).
  double mean() const;
};

} // namespace fcc
