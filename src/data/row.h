#pragma once

#include <cstdint>
#include <span>

#include "fcc/data/batch.h"

namespace fcc {

/// One row of a batch.
struct Row {
  std::span<std::int32_t> ids, targets;            // [T]
  std::span<float> target_weights;                 // [T]
  std::span<std::uint8_t> answer;                  // [T]
  std::span<std::uint8_t> segment_starts_document; // [S]

  Row(Batch& batch, std::int64_t row) {
    const auto length = static_cast<std::size_t>(batch.shape.length_tokens());
    const auto segments = static_cast<std::size_t>(batch.shape.all_segments());
    const auto r = static_cast<std::size_t>(row);
    ids = std::span(batch.ids).subspan(r * length, length);
    targets = std::span(batch.targets).subspan(r * length, length);
    target_weights = std::span(batch.target_weights).subspan(r * length, length);
    answer = std::span(batch.answer).subspan(r * length, length);
    segment_starts_document =
        std::span(batch.segment_starts_document).subspan(r * segments, segments);
  }

  /// A target of weight 0 is not counted: it is left out.
  void set_target(std::size_t at, std::int32_t id, double weight, bool is_answer = false) {
    if (weight > 0.0) {
      targets[at] = id;
      target_weights[at] = static_cast<float>(weight);
      answer[at] = is_answer ? 1 : 0;
    }
  }
};

} // namespace fcc
