#pragma once

#include "fcc/ops/attention.h"

// What a backend derives from: it brings one of the two forms of attention and is given the other.
namespace fcc {

double softmax_scale(std::int64_t head_dim);

/// As it is where kernels can read it: rows of whole elements, other strides and the start in
/// steps of 16 bytes. A gradient may come expanded or from any view. x [B, rows, heads, E].
at::Tensor readable(const at::Tensor& x);

/// A backend that takes a cell's memory where it lies, and flags of the rows that have one.
class AttentionByCells : public Attention {
 public:
  AttentionForward forward_rows(
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionRowOptions& options) const final;
  AttentionGradients backward_rows(
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionForward& forward,
      const at::Tensor& grad_out,
      const AttentionRowOptions& options) const final;
  bool supports_present() const final {
    return true;
  }
};

/// A backend that knows rows only, all with the same number of keys: cells are its rows, memory and
/// current keys are copied together, and cells with and without memory are launched apart. Where
/// only the device knows which rows have one, both are computed and the flags choose: recorded
/// launches must not depend on them.
class AttentionByRows : public Attention {
 public:
  void forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse) const final;
  void backward(
      const CellAttentionInput& input,
      const at::Tensor& out,
      const at::Tensor& lse,
      const at::Tensor& grad_out,
      const CellAttentionGrads& grads) const final;
  bool supports_present() const final {
    return false;
  }
};

} // namespace fcc
