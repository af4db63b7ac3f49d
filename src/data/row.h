#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "fcc/config/run_config.h"
#include "fcc/data/batch.h"
#include "fcc/data/loader.h"

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

/// A row that is a prompt and its answer: `eos`, where given, is the last target, and what is left
/// of the row is padding. `config` tells how targets weigh.
void fill_row(
    Batch& batch,
    std::int64_t row,
    std::span<const std::int32_t> prompt,
    std::span<const std::int32_t> answer,
    std::optional<std::int32_t> eos,
    const DatasetConfig& config);

/// The EOS that the policy puts behind a sample; none where it puts none. Errors: `ConfigError`
/// naming `add_eos` where the tokenizer has no EOS.
std::optional<std::int32_t> eos_of(const Tokenizer& tokenizer, DocumentMarks marks);

/// The shortest that a made sample of such a row may be; the longest is the row.
std::int64_t shortest_of(const DatasetConfig& config, const BatchShape& shape);

/// Share of such rows that is padding, on average.
double padding_of(const DatasetConfig& config, const BatchShape& shape);

} // namespace fcc
