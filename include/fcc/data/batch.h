#pragma once

#include <cstdint>
#include <vector>

namespace fcc {

/// The target that is not counted.
inline constexpr std::int32_t kIgnoredTarget = -100;

/// The shape of one micro-batch; it may change from step to step.
struct BatchShape {
  std::int64_t batch_size = 1;          ///< B, rows of this rank
  std::int64_t num_segments = 1;        ///< with gradient
  std::int64_t num_prefix_segments = 0; ///< before them, without
  std::int64_t segment_length = 1;      ///< L, tokens

  std::int64_t all_segments() const {
    return num_prefix_segments + num_segments;
  }
  std::int64_t length_tokens() const {
    return all_segments() * segment_length;
  }
};

/// Rows of token sequences, targets already shifted (the target of position i is token i + 1 of the
/// same row, also across segment borders).
struct Batch {
  BatchShape shape;
  std::vector<std::int32_t> ids;     ///< [B, T]
  std::vector<std::int32_t> targets; ///< [B, T], `kIgnoredTarget` is not counted
  std::vector<float> target_weights; ///< [B, T], 0 where the target is ignored and nowhere else
  std::vector<std::uint8_t> answer;  ///< [B, T], 1 where the target is part of an answer
  /// [B, S], 1: no memory enters this segment. All 0 unless documents keep their memory to
  /// themselves; the first segment of a row has no memory either way.
  std::vector<std::uint8_t> segment_starts_document;
  std::int64_t num_padding = 0; ///< ids that stand where a row or a segment was not filled
};

} // namespace fcc
