#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fcc/data/batch.h"
#include "fcc/eval/report.h"

namespace fcc {

class Executor;
struct ModelConfig;

/// Cross-entropy of the targets of one segment index, over all sequences.
struct SegmentLoss {
  double loss_sum = 0.0; ///< nats
  std::int64_t num_targets = 0;

  double nll() const;        ///< mean per token, nats; NaN without targets
  double perplexity() const; ///< exp(nll)
};

/// Losses by the segment in which the target's input stands.
struct SegmentLosses {
  std::vector<SegmentLoss> segments; ///< [S]
  std::int64_t num_sequences = 0;

  SegmentLoss total() const;
};

struct PerplexityOptions {
  std::int64_t segment_length = 0; ///< L, tokens; a Llama's reports are cut by it too
  std::int64_t chunk_segments = 8; ///< segments that run at once: bounds the memory that is needed
  /// Every segment starts without memory: what the model knows from the segment alone.
  bool cut_memory = false;
};

/// Losses of rows of tokens whose segments carry memory from each to the next, chunk by chunk, so
/// that the memory needed does not grow with the length (a Llama runs the whole row at once).
/// `batch` has whole segments of `segment_length`; its `segment_starts_document` is kept.
/// Errors: `Error` on an id outside the vocabulary.
void add_losses(
    SegmentLosses& losses,
    Executor& executor,
    const ModelConfig& config,
    const Batch& batch,
    const PerplexityOptions& options);

/// Rows of `ids` one after another, as many as fit whole ([B, S·L] each with its next tokens as
/// targets; only the very last token of `ids` has none). Fewer than one row: none.
std::vector<Batch> rows_of_text(const std::vector<std::int32_t>& ids, const BatchShape& shape);

/// The results with memory, with the memory cut, or both beside each other.
struct PerplexityReport {
  std::optional<SegmentLosses> with_memory, cut;
};

/// A row per segment and the total; `csv` names columns for programs.
Table perplexity_table(const PerplexityReport& report, bool csv);

std::string perplexity_json(
    const PerplexityReport& report,
    const std::string& model,
    std::int64_t segment_length);

} // namespace fcc
