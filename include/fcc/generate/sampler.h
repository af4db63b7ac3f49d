#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fcc {

/// How the next token is drawn. The filters apply in this order: temperature, top-k, top-p.
struct SamplerOptions {
  double temperature = 0.0; ///< 0: greedy, the most likely token (the lowest id among equals)
  std::int64_t top_k = 0;   ///< only the k most likely tokens; 0: all
  double top_p = 1.0;       ///< only the fewest most likely tokens whose probabilities reach p
  std::uint64_t seed = 0;
  /// Only ids below are drawn: the tokenizer's vocabulary, where a model's is padded; 0: all.
  std::int64_t num_ids = 0;
};

/// One token that may be drawn.
struct Candidate {
  std::int32_t id = 0;
  double probability = 0.0;
};

/// Draws tokens from logits, in float64.
///
/// The draw for a place in the text depends on (seed, position, logits) alone, so a stream that was
/// saved and restored goes on with the same draws. Errors: `ConfigError` on options out of range.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);

  /// The id of the token at `position` (counted from the start of the text, prompt included).
  /// Errors: `Error` if `logits` is empty, holds a NaN or has no finite value.
  std::int32_t sample(std::span<const double> logits, std::int64_t position) const;

  /// What may be drawn, most likely first (equals by id); probabilities sum to 1.
  std::vector<Candidate> candidates(std::span<const double> logits) const;

 private:
  SamplerOptions options_;
};

} // namespace fcc
