#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "fcc/ops/memory_attention_choice.h"

namespace fcc {

// Memory attention forward and backward by hand, outside of autograd: what `memory_attention`
// records for kernels with a backward of their own, and what `fcc-bench kernels` times.

/// Which keys the queries see.
enum class VisibleKeys {
  kCausal, ///< query i of L sees key j of Lk where j ≤ i + Lk - L (bottom-right aligned)
  kAll     ///< every key; cuDNN alone, for comparisons: it is not the model's mask
};

/// Whether sums of a backward pass may be taken in any order.
enum class SumOrder {
  kFixed, ///< two runs give equal bits (flash: as ATen's global setting says)
  kAny
};

struct AttentionPassOptions {
  VisibleKeys visible = VisibleKeys::kCausal;
  SumOrder order = SumOrder::kFixed;
  at::Tensor present; ///< [B] bool: rows that see their memory; undefined: all. kFcc alone
};

/// What a forward pass puts out, and leaves for its backward pass.
struct AttentionForward {
  at::Tensor out;       ///< [B, L, H, E]
  at::Tensor lse;       ///< [B, H, L] float32 (float64 in float64): log Σ exp of the scaled scores
  at::Tensor rng_state; ///< flash hands it on; no dropout is drawn
  at::Tensor rng_unused;
};

/// o = softmax(q · kᵀ / √E + mask) · v as in `memory_attention`. The Lk - L keys before the
/// segment's own are the memory. kFcc runs on the operator's plain form where its kernel does not
/// serve (a CPU in float64, say). Errors: `Error` where the kernel does not serve the tensors, and
/// on kReference, whose backward is autograd's.
AttentionForward memory_attention_forward(
    const at::Tensor& q, // [B, L, H, E]
    const at::Tensor& k, // [B, Lk, G, E]
    const at::Tensor& v, // [B, Lk, G, E]
    const AttentionChoice& choice,
    const AttentionPassOptions& options);

/// Gradients of the inputs, shaped like them.
struct AttentionGradients {
  at::Tensor q, k, v;
};

/// The backward pass; `choice` and `options` as in the forward pass.
AttentionGradients memory_attention_backward(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionForward& forward,
    const at::Tensor& grad_out, // [B, L, H, E]
    const AttentionChoice& choice,
    const AttentionPassOptions& options);

} // namespace fcc
