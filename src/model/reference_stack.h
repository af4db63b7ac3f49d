#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/model/reference.h"
#include "model/reference_layer.h"

namespace fcc {

/// The reference execution of a stack, segment after segment. Keeps the tables that segments of
/// equal shape share, over passes too; not to be shared between threads.
class ReferenceStack {
 public:
  /// `device`, `dtype`: of the embeddings to come.
  /// Errors: `ConfigError` on an attention backend that does not serve them (`choose_attention`).
  ReferenceStack(
      const ModelConfig& config,
      AttentionBackend attention,
      at::Device device,
      at::ScalarType dtype);

  /// See `reference_forward`; `embedded` are the embeddings of `ids`.
  ReferenceOutput forward(
      const ReferenceWeights& weights,
      const at::Tensor& embedded, // [B, T, D]
      const at::Tensor& ids,      // [B, T] int64
      const MemoryState& state,
      const ReferenceOptions& options);

  /// Tokens in a segment of a sequence of `length_tokens`: L, or for `llama` the whole length.
  std::int64_t segment_length(std::int64_t length_tokens) const {
    return policy_.segment_length(length_tokens);
  }

 private:
  /// What one segment puts out.
  struct SegmentOutput {
    at::Tensor x;                   ///< [B, l, D], before the final norm
    std::vector<at::Tensor> memory; ///< of each layer (local_global, rmt: one), [B, l, D]; or
                                    ///< as `MemoryPolicy::memory_shape`
  };
  SegmentOutput condensation_segment(
      const ReferenceWeights& weights,
      const SegmentTables& tables,
      const at::Tensor& x,                          // [B, l, D]
      const std::vector<at::Tensor>& memory) const; // N × [B, L, D], or empty
  SegmentOutput local_global_segment(
      const ReferenceWeights& weights,
      const SegmentTables& tables,
      const at::Tensor& x,                          // [B, l, D], after the local stack
      const std::vector<at::Tensor>& memory) const; // 1 × [B, L, D], or empty
  SegmentOutput head_memory_segment(
      const ReferenceWeights& weights,
      const SegmentTables& tables,
      const at::Tensor& x,                          // [B, l, D]
      const std::vector<at::Tensor>& memory) const; // N × [B, rows, width], or empty
  SegmentOutput memory_tokens_segment(
      const ReferenceWeights& weights,
      const SegmentTables& tables,
      const at::Tensor& x,                          // [B, l, D]
      const std::vector<at::Tensor>& memory) const; // 1 × [B, m, D], or empty
  SegmentOutput run_segment(
      const ReferenceWeights& weights,
      const SegmentTables& tables,
      const at::Tensor& x,
      const std::vector<at::Tensor>& memory) const;
  std::vector<at::Tensor> local_stack(const ReferenceWeights& weights, const at::Tensor& embedded);
  SegmentTables tables_for(
      std::int64_t length,               // l
      std::int64_t position,             // of the segment's first token
      const std::vector<char>& present); // [B]
  const AttentionMask& causal_mask(std::int64_t length, std::int64_t num_memory);
  RopeTable key_table(std::int64_t length, std::int64_t num_memory, std::int64_t position);

  ModelConfig config_;
  MemoryPolicy policy_;
  AttentionChoice attention_;
  ReferenceMath math_;
  at::TensorOptions options_;                                             ///< of the hidden states
  std::map<std::pair<std::int64_t, std::int64_t>, AttentionMask> masks_;  ///< by (l, Lm)
  std::map<std::pair<std::int64_t, std::int64_t>, RopeTable> key_tables_; ///< by (l, Lm)
};

} // namespace fcc
