#include "fcc/config/int_distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

void check_values(const IntDistribution& distribution) {
  const bool is_range = distribution.kind == IntDistribution::Kind::kUniform ||
                        distribution.kind == IntDistribution::Kind::kLogUniform;
  check(
      distribution.values.size() >= (is_range ? 2U : 1U),
      "IntDistribution",
      "must hold its number, list or range");
}

} // namespace

IntDistribution IntDistribution::fixed(std::int64_t value) {
  return {Kind::kFixed, {value}, 0.0};
}

std::int64_t IntDistribution::draw(Random& random) const {
  check_values(*this);
  if (zero_share > 0 && random.uniform() < zero_share) {
    return 0;
  }
  switch (kind) {
    case Kind::kFixed:
      return values[0];
    case Kind::kList:
      return values[static_cast<std::size_t>(
          random.below(static_cast<std::int64_t>(values.size())))];
    case Kind::kUniform:
      return values[0] + random.below(values[1] - values[0] + 1);
    case Kind::kLogUniform: {
      // The logarithm is uniform over [a, b + 1), then rounded down: P(k) ~ log((k + 1) / k).
      const double low = std::log(static_cast<double>(values[0]));
      const double high = std::log(static_cast<double>(values[1]) + 1.0);
      const double drawn = std::exp(low + random.uniform() * (high - low));
      return std::clamp(static_cast<std::int64_t>(drawn), values[0], values[1]);
    }
  }
  return 0;
}

std::int64_t IntDistribution::max() const {
  check_values(*this);
  const std::int64_t largest = *std::max_element(values.begin(), values.end());
  return zero_share > 0 ? std::max<std::int64_t>(largest, 0) : largest;
}

double IntDistribution::mean() const {
  check_values(*this);
  double drawn = 0.0;
  switch (kind) {
    case Kind::kFixed:
      drawn = static_cast<double>(values[0]);
      break;
    case Kind::kList:
      drawn =
          std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
      break;
    case Kind::kUniform:
      drawn = 0.5 * (static_cast<double>(values[0]) + static_cast<double>(values[1]));
      break;
    case Kind::kLogUniform: {
      // Sum of k (log(k + 1) - log k) from a to b, by parts: n log n - a log a - log(n! / a!)
      // with n = b + 1, over log(n / a).
      const double a = static_cast<double>(values[0]);
      const double n = static_cast<double>(values[1]) + 1.0;
      const double sum =
          n * std::log(n) - a * std::log(a) - (std::lgamma(n + 1.0) - std::lgamma(a + 1.0));
      drawn = sum / std::log(n / a);
      break;
    }
  }
  return (1.0 - zero_share) * drawn;
}

} // namespace fcc
