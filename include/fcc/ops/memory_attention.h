#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "fcc/ops/memory_attention_choice.h"

namespace fcc {

/// Which of the Lm + L keys a segment's queries see, made once and used by every layer.
struct AttentionMask {
  std::int64_t num_memory = 0;          ///< Lm, keys before the segment's own
  at::Tensor present;                   ///< [B] bool: rows that see the memory; undefined: all
  at::Tensor present_rows, absent_rows; ///< int64 indices of the two kinds of rows, with `present`
  at::Tensor bias; ///< [L, Lm + L] or [B, 1, L, Lm + L]: 0 where seen, -inf elsewhere (reference)
};

/// Query i sees key j where j ≤ i + Lm (bottom-right aligned causal attention), without the first
/// Lm keys in the rows that `present` leaves out. A `present` that holds for all rows should be
/// left undefined. `options`: dtype and device of the queries. Reads `present` back to the host.
AttentionMask make_attention_mask(
    std::int64_t num_queries,  // L
    std::int64_t num_memory,   // Lm
    const at::Tensor& present, // [B] bool or undefined
    AttentionKernel kernel,
    const at::TensorOptions& options);

/// o = softmax(q · kᵀ / √E + mask) · v (arXiv 2405.04620, eq. 16, figure 3) with grouped heads:
/// query head h reads key/value head h / (H/G). Differentiable in q, k and v.
/// Plain operators followed by autograd for the reference, which others are checked against; each
/// of the others by its own passes (`Attention`). Flash and cuDNN launch rows with and without
/// memory apart; the others take them in one launch. Errors: `Error` where the backend does not
/// support the tensors (`attention_refusal`).
at::Tensor memory_attention( // [B, L, H, E]
    const at::Tensor& q,     // [B, L, H, E]
    const at::Tensor& k,     // [B, Lm + L, G, E], memory first
    const at::Tensor& v,     // [B, Lm + L, G, E]
    const AttentionMask& mask,
    const AttentionChoice& choice);

} // namespace fcc
