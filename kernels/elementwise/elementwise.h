#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

/// The memory-bound neighbours of the products, each one pass over its data: bfloat16 in and out,
/// float32 inside, 16-byte accesses, sums in a fixed order (so two runs are bit-equal).
///
/// C counts cells (layers of a diagonal), R rows of a cell. `cell` strides are in elements and may
/// have any sign; rows lie `width` apart unless a row stride is given; all addresses and strides
/// are multiples of 8 elements. Nothing allocates or synchronises; launches can be captured in a
/// graph. Errors come back as `cudaErrorInvalidValue` (a size that is not served) or as the
/// launch's own.
namespace fcc::kernels {

/// A [C, R, width] tensor whose rows are contiguous.
struct CellRows {
  void* data = nullptr;
  std::int64_t cell = 0; ///< elements between cells
};

struct RmsNormParams {
  int num_cells = 1, num_rows = 0, width = 0; ///< width: multiple of 8, at most 4096
  CellRows x;                                 ///< bf16 [C, R, D]
  const void* weight = nullptr;               ///< bf16 [C, D]
  std::int64_t weight_cell = 0;
  float eps = 0.0F;
  CellRows memory;                     ///< bf16 [C, M, D], if num_memory_rows is not 0
  int num_memory_rows = 0;             ///< M
  const void* memory_weight = nullptr; ///< bf16 [C, D]
  std::int64_t memory_weight_cell = 0;
  CellRows out; ///< bf16 [C, M + R, D], the memory's rows first
  cudaStream_t stream = nullptr;
};

/// out = x / sqrt(mean(x²) + eps) ⊙ weight, rounded once; the memory's rows with their own weight.
cudaError_t rms_norm_forward(const RmsNormParams& params);

struct RmsNormBackwardParams {
  int num_cells = 1, num_rows = 0, width = 0;
  CellRows grad_out;            ///< bf16 [C, R, D]
  CellRows x;                   ///< bf16 [C, R, D]
  const void* weight = nullptr; ///< bf16 [C, D]
  std::int64_t weight_cell = 0;
  float eps = 0.0F;
  CellRows residual;            ///< bf16 [C, R, D] added to grad_x; null: none
  bool accumulate = false;      ///< grad_x is added to
  CellRows grad_x;              ///< bf16 [C, R, D]
  float* grad_weight = nullptr; ///< float32 [C, D], added to; null: left out
  std::int64_t grad_weight_cell = 0;
  float* partials = nullptr; ///< `rms_norm_backward_workspace_bytes`; unused without grad_weight
  cudaStream_t stream = nullptr;
};

std::int64_t rms_norm_backward_workspace_bytes(int num_cells, int num_rows, int width);

/// grad_x (+)= residual + d out/d x · grad_out; grad_weight += Σ over rows of grad_out ⊙ x̂.
cudaError_t rms_norm_backward(const RmsNormBackwardParams& params);

struct RopeParams {
  int num_cells = 1, num_rows = 0;
  int num_heads = 0, head_dim = 0; ///< head_dim: multiple of 16
  CellRows x;                 ///< bf16, heads contiguous from each row's start, rotated in place
  std::int64_t row = 0;       ///< elements between rows
  const float* cos = nullptr; ///< float32 [L, E/2]
  const float* sin = nullptr; ///< float32 [L, E/2]
  int length = 1;             ///< L; row r has position r mod L
  bool inverse = false;
  cudaStream_t stream = nullptr;
};

/// Rotates pairs (i, i + E/2) in place.
cudaError_t rope(const RopeParams& params);

struct SwigluParams {
  int num_cells = 1, num_rows = 0, width = 0; ///< width: F, multiple of 8
  CellRows gate_up;                           ///< bf16 [C, R, 2F]
  CellRows hidden; ///< bf16 [C, R, F]: out of the forward; in the backward its gradient, then it
  cudaStream_t stream = nullptr;
};

/// hidden = silu(gate) ⊙ up.
cudaError_t swiglu_forward(const SwigluParams& params);

/// gate_up becomes its gradient; `hidden`, the gradient of the forward's output, becomes that
/// output again, bit for bit.
cudaError_t swiglu_backward(const SwigluParams& params);

struct CrossEntropyParams {
  int num_rows = 0, vocab_size = 0; ///< vocab_size: multiple of 8
  void* logits =
      nullptr; ///< bf16 [n, V]; becomes coefficient · (softmax - one-hot) with `write_gradient`
  const std::int64_t* targets = nullptr; ///< [n], negative: ignored
  const float* coefficients = nullptr;   ///< [n]
  float* losses = nullptr;               ///< [n], 0 where ignored
  bool write_gradient = true;
  cudaStream_t stream = nullptr;
};

/// Cross-entropy of each row, and its gradient in the logits' place.
cudaError_t cross_entropy(const CrossEntropyParams& params);

inline constexpr int kSquaredSumPartials =
    2112; ///< blocks of the pass: 16 a multiprocessor of an H100

struct SquaredSumParams {
  std::int64_t count = 0;
  const float* values = nullptr; ///< [count], 16-byte aligned
  double* partials = nullptr;    ///< workspace of `kSquaredSumPartials`
  double* sum = nullptr;         ///< one element
  cudaStream_t stream = nullptr;
};

/// sum = Σ values², in float64: the square of the gradient's norm.
cudaError_t squared_sum(const SquaredSumParams& params);

struct AdamwParams {
  std::int64_t count = 0; ///< elements
  float* master = nullptr;
  const float* grad = nullptr;
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  void* compute = nullptr; ///< bf16 copy of master; null: none
  float lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  float bias_correction1 = 1, bias_correction2 = 1; ///< 1 - β^t
  float grad_scale = 1;                             ///< clipping
  cudaStream_t stream = nullptr;
};

/// AdamW with decoupled decay (arXiv 1711.05101) over a stretch of the flat buffer: gradient, both
/// moments, master and bf16 copy in one pass.
cudaError_t adamw(const AdamwParams& params);

} // namespace fcc::kernels
