#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

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
  at::Device device = at::kCPU; ///< the executor's
};

/// A stretch of whole segments of some rows, on the CPU.
struct RowChunk {
  at::Tensor ids;                     ///< [B, t·L] int64
  at::Tensor targets;                 ///< [B, t·L] int64, `kIgnoredTarget` is not counted
  at::Tensor segment_starts_document; ///< [B, t] bool; undefined: none
};

/// Rows of `num_segments` segments that are read stretch by stretch.
struct RowSource {
  std::int64_t num_rows = 0; ///< B
  std::int64_t num_segments = 0;
  std::function<RowChunk(std::int64_t first_segment, std::int64_t num_segments)> read;
};

/// Adds the losses of rows whose segments carry memory from each to the next, chunk by chunk: the
/// memory needed does not grow with the length (but a Llama runs its whole rows at once).
/// Errors: `Error` on an id outside the vocabulary.
void add_losses(
    SegmentLosses& losses,
    Executor& executor,
    const ModelConfig& config,
    const RowSource& rows,
    const PerplexityOptions& options);

/// The rows of a batch, whole segments of `segment_length`, with its document borders.
RowSource rows_of_batch(const Batch& batch);

/// A long text of tokens, wherever it lies.
struct TokenText {
  std::int64_t num_tokens = 0;
  std::function<void(std::int64_t position, std::span<std::int32_t> ids)> read;
};

/// Rows `first_row`, …, each of `num_segments` segments, of a text cut into such rows from its
/// start; the text's very last token has no target.
RowSource rows_of_text(
    const TokenText& text,
    std::int64_t first_row,
    std::int64_t num_rows,
    std::int64_t num_segments,
    std::int64_t segment_length);

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
