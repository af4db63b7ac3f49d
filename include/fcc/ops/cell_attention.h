#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace fcc {

/// Attention of L queries over [memory ; current] for C cells at once: memory fully visible, the
/// current part causally (arXiv 2405.04620, eq. 16 and figure 3). Heads are grouped: query head h
/// reads key/value head h / (H/G). Every tensor may be strided in its first dimension and in rows.
struct CellAttentionInput {
  at::Tensor q;            ///< [C, B, L, H, E], rotated
  at::Tensor k, v;         ///< [C, B, L, G, E]
  at::Tensor k_mem, v_mem; ///< [C, B, M, G, E]; undefined: no cell has memory
  at::Tensor has_memory;   ///< [C, B] bool; undefined: every row has
};

/// out [C, B, L, H, E]; lse [C, B, H, L] float32 (float64 in float64): log Σ exp of the scaled
/// scores, which the backward pass needs.
void cell_attention_forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse);

/// Gradients of q, k, v, k_mem, v_mem, shaped and strided as the caller likes.
struct CellAttentionGrads {
  at::Tensor q, k, v;
  at::Tensor k_mem, v_mem; ///< zero where a row has no memory
};

/// Overwrites `grads`; deterministic.
void cell_attention_backward(
    const CellAttentionInput& input,
    const at::Tensor& out,
    const at::Tensor& lse,
    const at::Tensor& grad_out,
    CellAttentionGrads grads);

} // namespace fcc
