#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace fcc {

// The products and element-wise steps of a block of cells, forward and backward by hand, writing
// into memory that the caller owns. C counts cells of neighbouring layers (each with its own
// weights), R the rows of one cell (batch × tokens). Tensors may be strided in their first
// dimension (a diagonal of the hidden grid); rows and columns are contiguous.
// Dtypes: bfloat16, float32 or float64; sums are taken in float32 at least.

/// out[c] = a[c] · w[c]ᵀ (+ residual[c]).
/// a [C, R, K], w [C, O, K], residual [C, R, O] or undefined, out [C, R, O]; out may be residual.
void linear_forward(
    const at::Tensor& a,
    const at::Tensor& w,
    const at::Tensor& residual,
    at::Tensor out);

/// Whether a gradient replaces what is there or is added to it.
enum class GradInput { kOverwrite, kAccumulate };

/// Where a gradient goes.
struct GradTarget {
  at::Tensor grad;
  GradInput mode = GradInput::kOverwrite;
};

/// grad_a[c] (+)= grad_out[c] · w[c]. grad_out [C, R, O], w [C, O, K], a.grad [C, R, K].
void linear_backward_input(const at::Tensor& grad_out, const at::Tensor& w, const GradTarget& a);

/// grad_w (+)= grad_outᵀ · a, summed in the dtype of w.grad.
/// grad_out [R, O], a [R, K] in the compute dtype; w.grad [O, K] float32 or float64.
void linear_backward_weight(const at::Tensor& grad_out, const at::Tensor& a, const GradTarget& w);

/// out = x / sqrt(mean(x²) + eps) ⊙ weight[c] over the last dimension (RMSNorm, arXiv 1910.07467).
/// x, out [C, R, D]; weight [C, D].
void rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor out);

/// [norm(memory) ; norm(x)] in one pass, each with its own weight: the rows that keys and values
/// are made of (arXiv 2405.04620, eq. 14). memory [C, M, D], x [C, R, D]; both weights [C, D]; out
/// [C, M + R, D], the memory's rows first.
void rms_norm_forward_with_memory(
    const at::Tensor& memory,
    const at::Tensor& memory_weight,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    at::Tensor out);

/// grad_x (+)= residual + d rms_norm(x)/dx · grad_out; grad_weight += Σ over rows of grad_out ⊙ x̂.
/// residual [C, R, D] or undefined; grad_weight [C, D] float32/float64, undefined: left out.
/// The inverse root is computed again from x, which the pass reads anyway.
void rms_norm_backward(
    const at::Tensor& grad_out,
    const at::Tensor& x,
    const at::Tensor& weight,
    double eps,
    const at::Tensor& residual,
    const GradTarget& grad_x,
    at::Tensor grad_weight);

/// out = silu(gate) ⊙ up (SwiGLU, arXiv 2002.05202). gate_up [C, R, 2F], gate first; out [C, R, F].
void swiglu_forward(const at::Tensor& gate_up, at::Tensor out);

/// Overwrites gate_up [C, R, 2F] with its gradient, and `hidden` [C, R, F], the gradient of the
/// forward's output, with that output: the weight gradient of the next product needs it, and
/// whoever computes it again here need not have kept it.
void swiglu_backward(at::Tensor hidden, at::Tensor gate_up);

/// Rotates pairs (i, i + E/2) of the first `heads` heads in place; `inverse` turns back, which is
/// also the gradient's way. x [C, R, ≥ heads·E], strided in cells and rows; cos, sin [L, E/2] in
/// float32 (float64); row r has position r mod L.
void rope_in_place(
    at::Tensor x,
    std::int64_t heads,
    const at::Tensor& cos,
    const at::Tensor& sin,
    bool inverse);

} // namespace fcc
