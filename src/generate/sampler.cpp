#include "fcc/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

// Keeps the sampler's draws apart from other uses of the same seed.
constexpr std::uint64_t kSamplerStream = 0x73616D70;

void check_logits(std::span<const double> logits) {
  bool any_finite = false;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id]) || logits[id] == HUGE_VAL) {
      throw Error(
          "sampler", "logits must be numbers below infinity", "token " + std::to_string(id));
    }
    any_finite = any_finite || std::isfinite(logits[id]);
  }
  if (!any_finite) {
    throw Error("sampler", "at least one logit must be finite");
  }
}

bool more_likely(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
}

void normalise(std::vector<Candidate>& candidates) {
  double sum = 0;
  // From the smallest up: the sum then loses least.
  for (auto it = candidates.rbegin(); it != candidates.rend(); ++it) {
    sum += it->probability;
  }
  for (Candidate& candidate : candidates) {
    candidate.probability /= sum;
  }
}

} // namespace

Sampler::Sampler(const SamplerOptions& options) : options_(options) {
  if (!(options.temperature >= 0) || !std::isfinite(options.temperature)) {
    throw ConfigError(
        "temperature", "must be 0 (greedy) or more", std::to_string(options.temperature));
  }
  if (options.top_k < 0) {
    throw ConfigError("top_k", "must be 0 (all) or more", std::to_string(options.top_k));
  }
  if (options.num_ids < 0) {
    throw ConfigError("num_ids", "must be 0 (all) or more", std::to_string(options.num_ids));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    throw ConfigError("top_p", "must lie in (0, 1]", std::to_string(options.top_p));
  }
}

std::vector<Candidate> Sampler::candidates(std::span<const double> logits) const {
  if (options_.num_ids > 0) {
    logits = logits.first(std::min(logits.size(), static_cast<std::size_t>(options_.num_ids)));
  }
  check_logits(logits);
  const auto largest = std::max_element(logits.begin(), logits.end());
  if (options_.temperature == 0) {
    return {{static_cast<std::int32_t>(largest - logits.begin()), 1.0}};
  }
  std::vector<Candidate> kept;
  kept.reserve(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double weight = std::exp((logits[id] - *largest) / options_.temperature);
    if (weight > 0) {
      kept.push_back({static_cast<std::int32_t>(id), weight});
    }
  }
  if (options_.top_k > 0 && options_.top_k < static_cast<std::int64_t>(kept.size())) {
    std::partial_sort(kept.begin(), kept.begin() + options_.top_k, kept.end(), more_likely);
    kept.resize(static_cast<std::size_t>(options_.top_k));
  } else {
    std::sort(kept.begin(), kept.end(), more_likely);
  }
  normalise(kept);
  if (options_.top_p < 1) {
    double sum = 0;
    std::size_t count = 0;
    while (count < kept.size() && sum < options_.top_p) {
      sum += kept[count++].probability;
    }
    kept.resize(count);
    normalise(kept);
  }
  return kept;
}

std::int32_t Sampler::sample(std::span<const double> logits, std::int64_t position) const {
  const std::vector<Candidate> kept = candidates(logits);
  if (kept.size() == 1) {
    return kept.front().id;
  }
  Random random(options_.seed, kSamplerStream, static_cast<std::uint64_t>(position));
  double left = random.uniform();
  for (const Candidate& candidate : kept) {
    left -= candidate.probability;
    if (left < 0) {
      return candidate.id;
    }
  }
  return kept.back().id; // rounding left the sum a hair under 1
}

} // namespace fcc
