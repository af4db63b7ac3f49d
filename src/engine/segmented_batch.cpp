#include "engine/segmented_batch.h"

#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

/// [B, T] → [S, B, L], the last segment filled up with `fill`.
at::Tensor by_segment(const at::Tensor& tokens, std::int64_t length, const at::Scalar& fill) {
  const std::int64_t batch = tokens.size(0), total = tokens.size(1);
  const std::int64_t segments = (total + length - 1) / length;
  at::Tensor padded = tokens;
  if (segments * length != total) {
    padded = at::full({batch, segments * length}, fill, tokens.options());
    padded.slice(1, 0, total).copy_(tokens);
  }
  return padded.view({batch, segments, length}).transpose(0, 1).contiguous();
}

/// Row by row: does a memory precede the first segment?
std::vector<bool> first_visible(std::int64_t rows, const MemoryState* state, bool has_first) {
  const bool incoming = state != nullptr && state->memory.defined();
  std::vector<bool> first(static_cast<std::size_t>(rows), incoming || has_first);
  if (incoming && state->present.defined() && !has_first) {
    const at::Tensor present = state->present.to(at::kCPU, at::kBool).contiguous();
    first.assign(present.data_ptr<bool>(), present.data_ptr<bool>() + rows);
  }
  return first;
}

/// Hides the memory before segments that begin a document.
void hide_before_documents(
    const at::Tensor& segment_starts_document,
    bool has_first,
    bool incoming,
    std::vector<std::vector<bool>>& visible) {
  const at::Tensor starts = segment_starts_document.to(at::kCPU, at::kBool);
  const auto segments = static_cast<std::int64_t>(visible.size());
  if (starts.size(1) != segments) {
    throw Error(
        "FusedExecutor",
        "segment_starts_document must be [B, S]; a plain Llama has one segment",
        std::to_string(starts.size(1)) + " segments for " + std::to_string(segments));
  }
  const auto begins = starts.accessor<bool, 2>();
  for (std::int64_t b = 0; b < starts.size(0); ++b) {
    for (std::int64_t s = 0; s < segments; ++s) {
      if (!begins[b][s]) {
        continue;
      }
      if (!has_first) {
        visible[static_cast<std::size_t>(s)][static_cast<std::size_t>(b)] = false;
      } else if (s > 0 || incoming) {
        throw Error(
            "FusedExecutor",
            "a document that resets memory inside a row needs first_memory: absent",
            "row " + std::to_string(b) + ", segment " + std::to_string(s),
            "set engine.execution to reference");
      }
    }
  }
}

} // namespace

ChunkMemory SegmentedBatch::memory_of(std::int64_t first, std::int64_t count) const {
  ChunkMemory part;
  part.visible.assign(memory.visible.begin() + first, memory.visible.begin() + first + count);
  part.detached.assign(memory.detached.begin() + first, memory.detached.begin() + first + count);
  return part;
}

at::Tensor SegmentedBatch::by_row(const at::Tensor& segments) const {
  return segments.transpose(0, 1).reshape({segments.size(1), -1}).slice(1, 0, total).contiguous();
}

SegmentedBatch cut_into_segments(
    const MicroBatch& batch,
    std::int64_t length,
    const MemoryState* state,
    bool has_first_memory,
    const std::optional<std::int64_t>& bptt_segments) {
  const std::int64_t rows = batch.ids.size(0);
  SegmentedBatch segmented;
  segmented.total = batch.ids.size(1);
  segmented.ids = by_segment(batch.ids, length, 0);
  segmented.targets = by_segment(batch.targets, length, -100);
  segmented.coefficients = by_segment(batch.coefficients, length, 0.0);
  const auto segments = static_cast<std::size_t>(segmented.num_segments());

  auto& visible = segmented.memory.visible;
  visible.assign(segments, std::vector<bool>(static_cast<std::size_t>(rows), true));
  visible[0] = first_visible(rows, state, has_first_memory);
  if (batch.segment_starts_document.defined()) {
    hide_before_documents(
        batch.segment_starts_document,
        has_first_memory,
        state != nullptr && state->memory.defined(),
        visible);
  }

  segmented.memory.detached.assign(segments, false);
  const std::int64_t first = batch.num_prefix_segments;
  for (std::int64_t s = first + 1; bptt_segments && s < segmented.num_segments(); ++s) {
    segmented.memory.detached[static_cast<std::size_t>(s)] = (s - first) % *bptt_segments == 0;
  }
  return segmented;
}

} // namespace fcc
