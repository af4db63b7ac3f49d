#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include "fcc/config/run_config.h"
#include "fcc/model/memory_state.h"
#include "fcc/model/parameters.h"

namespace fcc {

/// Options of a reference pass that are not part of the model.
struct ReferenceOptions {
  std::optional<std::int64_t> bptt_segments; ///< detach the memory before segments k, 2k, …
  AttentionBackend attention = AttentionBackend::kReference;
  at::Tensor segment_starts_document; ///< [B, S] bool; undefined: none
};

struct ReferenceOutput {
  at::Tensor hidden; ///< [B, T, D], after the final norm
  MemoryState state; ///< after the last segment
};

/// The definition of every architecture: plain ATen and autograd, one cell (n, s) after another.
/// Segments of `ids` begin at a segment border of `state`; the last may be shorter (then its memory
/// is not valid for going on, and `state.partial_ids` holds its tokens while `state.memory` is that
/// of the last full segment). Any device, any floating dtype.
/// Source: arXiv 2405.04620, eq. 14-17, figures 2-4; its 2024 note, eq. 12-17.
ReferenceOutput reference_forward(
    const ModelConfig& config,
    const ModelWeights& weights,
    const at::Tensor& ids, // [B, T] int64
    const MemoryState& state = {},
    const ReferenceOptions& options = {});

/// logits = hidden · lm_headᵀ, [..., V].
at::Tensor reference_logits(const ModelWeights& weights, const at::Tensor& hidden);

} // namespace fcc
