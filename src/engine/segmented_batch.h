#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include "engine/chunk.h"
#include "fcc/engine/executor.h"

namespace fcc {

/// A micro-batch cut into segments, and which memories they see.
struct SegmentedBatch {
  std::int64_t total = 0;                ///< T
  at::Tensor ids, targets, coefficients; ///< [S, B, L], the last segment filled up
  ChunkMemory memory;                    ///< of all segments

  std::int64_t num_segments() const {
    return ids.size(0);
  }

  ChunkMemory memory_of(std::int64_t first, std::int64_t count) const;

  /// [S, B, L] → [B, T], without the filling.
  at::Tensor by_row(const at::Tensor& segments) const;
};

/// Cuts `batch` into segments of `length`.
///
/// Who sees memory: every segment but the first of a row, unless something precedes it
/// (`state`, or a first memory), and those that begin a document. The gradient
/// into memory stops every `bptt_segments` from the first segment with gradient on.
/// Errors: documents inside a row are for models without a first memory; a plain Llama has one
/// segment.
SegmentedBatch cut_into_segments(
    const MicroBatch& batch,
    std::int64_t length,
    const MemoryState* state,
    bool has_first_memory,
    const std::optional<std::int64_t>& bptt_segments);

} // namespace fcc
