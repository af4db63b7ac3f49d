#pragma once

#include <cstdint>

#include "engine/fused_executor.h"
#include "engine/segmented_batch.h"

namespace fcc {

/// One micro-batch on its way through the chunks.
struct FusedExecutor::Pass {
  SegmentedBatch batch;
  ChunkPlan plan;
  at::Tensor token_losses; ///< [S, B, L]
  at::Tensor loss;         ///< []

  std::int64_t num_segments() const {
    return batch.num_segments();
  }

  /// [S, B, L] → [count·R] of the segments from `first` on.
  at::Tensor rows(const at::Tensor& segments, std::int64_t first, std::int64_t count) const {
    return segments.slice(0, first, first + count).reshape({count * plan.shape.rows()});
  }

  PassResult result() const {
    return {loss, batch.by_row(token_losses)};
  }
};

} // namespace fcc
