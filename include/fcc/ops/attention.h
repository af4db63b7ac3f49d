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
  /// What the host knows of `has_memory`: false in every row of the last cell, true in all others.
  /// A backend that launches rows with and without memory apart then need not compute both.
  bool last_cell_has_none = false;
};

/// Gradients of q, k, v, k_mem, v_mem, shaped and strided as the caller likes.
struct CellAttentionGrads {
  at::Tensor q, k, v;
  at::Tensor k_mem, v_mem; ///< zero where a row has no memory
};

/// Which keys the queries of a row see.
enum class VisibleKeys {
  kCausal, ///< query i of L sees key j of Lk where j ≤ i + Lk - L (bottom-right aligned)
  kAll     ///< every key; cuDNN alone, for comparisons: it is not the model's mask
};

/// Whether sums of a backward pass may be taken in any order.
enum class SumOrder {
  kFixed, ///< two runs give equal bits
  kAny
};

struct AttentionRowOptions {
  VisibleKeys visible = VisibleKeys::kCausal;
  SumOrder order = SumOrder::kFixed;
  at::Tensor present; ///< [B] bool: rows that see their memory; undefined: all
};

/// What a forward pass puts out, and leaves for its backward pass.
struct AttentionForward {
  at::Tensor out; ///< [B, L, H, E]
  at::Tensor lse; ///< [B, H, L] float32 (float64 in float64): log Σ exp of the scaled scores
};

/// Gradients of the inputs, shaped like them.
struct AttentionGradients {
  at::Tensor q, k, v;
};

/// A backend of attention with what it keeps from call to call: o = softmax(q · kᵀ / √E + mask) · v
/// forward and backward by hand, outside of autograd. Both executions go through it: the fused one
/// cell by cell, the reference row by row (`memory_attention` records it). Calls from several
/// threads are safe.
class Attention {
 public:
  virtual ~Attention() = default;

  /// Cells whose memory lies apart. out [C, B, L, H, E]; lse [C, B, H, L] float32 (float64 in
  /// float64); both as strided as the input may be.
  virtual void forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse) const = 0;

  /// Overwrites `grads`; deterministic.
  virtual void backward(
      const CellAttentionInput& input,
      const at::Tensor& out,
      const at::Tensor& lse,
      const at::Tensor& grad_out,
      const CellAttentionGrads& grads) const = 0;

  /// Rows whose keys lie together: the Lk - L keys before the segment's own are the memory.
  /// Errors: `Error` on options that the backend does not support.
  virtual AttentionForward forward_rows(
      const at::Tensor& q, // [B, L, H, E]
      const at::Tensor& k, // [B, Lk, G, E]
      const at::Tensor& v, // [B, Lk, G, E]
      const AttentionRowOptions& options) const = 0;

  virtual AttentionGradients backward_rows(
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionForward& forward,
      const at::Tensor& grad_out, // [B, L, H, E]
      const AttentionRowOptions& options) const = 0;

  /// Whether `AttentionRowOptions::present` is supported: rows with and without memory in one
  /// launch.
  virtual bool supports_present() const = 0;
};

} // namespace fcc
