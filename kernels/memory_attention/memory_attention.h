#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

/// Attention of a segment over [memory ; itself] for a whole diagonal of cells in one launch.
///
/// One *problem* is one (cell, batch row). Its `num_queries` query rows are the current segment;
/// its keys are `num_memory` memory rows followed by the current segment's own rows:
///
///     o_i = sum_j softmax_j(scale * q_i . k_j) v_j
///
/// where j runs over all memory rows and over the current rows j <= i. With equally long halves
/// this is the mask of Folded Context Condensation (arXiv 2405.04620, figure 2): causal attention
/// of L queries over 2L keys, aligned at the bottom right. With `num_memory == 0` it is plain
/// causal self-attention of any length.
///
/// Letters: C cells, B batch, Lq queries (= current keys), Lm memory rows, H query heads,
/// G key/value heads (query head h reads key/value head h / (H/G)), E head width.
///
/// Nothing here allocates, synchronises, prints or throws; a launch can be captured in a CUDA
/// graph. Kernels need a GPU of compute capability 9.0.
namespace fcc::kernels {

/// Distances in elements between neighbours of a [cell, batch, row, head, E] tensor whose last
/// dimension is contiguous. Only `cell` may be negative (cells of a diagonal walk back through a
/// grid). All but dimensions of size 1 must be multiples of 8 elements (16 bytes) in bf16 tensors.
struct AttentionStrides {
  int64_t cell = 0;
  int64_t batch = 0;
  int64_t row = 0;
  int64_t head = 0;
};

/// A bf16 tensor that is read. `data` points at cell 0 and is 16-byte aligned.
struct AttentionInput {
  const void* data = nullptr;
  AttentionStrides strides;
};

/// A bf16 tensor that is written, every element of its shape. Must not overlap any other tensor.
struct AttentionOutput {
  void* data = nullptr;
  AttentionStrides strides;
};

/// Sizes of a launch.
struct MemoryAttentionShape {
  int num_cells = 1;    // C >= 1
  int batch = 1;        // B >= 1
  int num_queries = 0;  // Lq >= 1
  int num_memory = 0;   // Lm >= 0
  int num_heads = 0;    // H
  int num_kv_heads = 0; // G, divides H
  int head_dim = 0;     // E, 64 or 128
};

/// What a launch answers: `error` is cudaSuccess, or says why nothing was launched.
/// cudaErrorInvalidValue comes with a static `message` that names the rule that was broken.
struct KernelStatus {
  cudaError_t error = cudaSuccess;
  const char* message = nullptr;
  [[nodiscard]] bool ok() const {
    return error == cudaSuccess;
  }
};

struct MemoryAttentionForwardParams {
  MemoryAttentionShape shape;
  AttentionInput q;     // [C, B, Lq, H, E]
  AttentionInput k_mem; // [C, B, Lm, G, E], ignored if Lm == 0
  AttentionInput v_mem; // [C, B, Lm, G, E], ignored if Lm == 0
  AttentionInput k_cur; // [C, B, Lq, G, E]
  AttentionInput v_cur; // [C, B, Lq, G, E]
  AttentionOutput out;  // [C, B, Lq, H, E]

  /// float32 [C, B, H, Lq]: natural logarithm of sum_j exp(scale * q_i . k_j). Row stride is 1.
  float* lse = nullptr;
  AttentionStrides lse_strides;

  /// uint8 [C, B] on the device, contiguous; 0: this problem has no memory and attends to the
  /// current rows alone. Null: every problem has its memory.
  const uint8_t* has_memory = nullptr;

  float scale = 0.0F; // of the scores, usually 1/sqrt(E); > 0
  cudaStream_t stream = nullptr;
};

struct MemoryAttentionBackwardParams {
  MemoryAttentionShape shape;
  AttentionInput q;        // [C, B, Lq, H, E]
  AttentionInput k_mem;    // [C, B, Lm, G, E], ignored if Lm == 0
  AttentionInput v_mem;    // [C, B, Lm, G, E], ignored if Lm == 0
  AttentionInput k_cur;    // [C, B, Lq, G, E]
  AttentionInput v_cur;    // [C, B, Lq, G, E]
  AttentionInput out;      // [C, B, Lq, H, E], of the forward
  AttentionInput grad_out; // [C, B, Lq, H, E]

  const float* lse = nullptr; // float32 [C, B, H, Lq], of the forward; row stride is 1
  AttentionStrides lse_strides;

  AttentionOutput dq;     // [C, B, Lq, H, E]
  AttentionOutput dk_mem; // [C, B, Lm, G, E], zeros where has_memory is 0; ignored if Lm == 0
  AttentionOutput dv_mem; // [C, B, Lm, G, E], zeros where has_memory is 0; ignored if Lm == 0
  AttentionOutput dk_cur; // [C, B, Lq, G, E]
  AttentionOutput dv_cur; // [C, B, Lq, G, E]

  const uint8_t* has_memory = nullptr; // as in the forward

  /// `memory_attention_backward_workspace_bytes(shape)` bytes on the device, 256-byte aligned.
  void* workspace = nullptr;

  float scale = 0.0F; // as in the forward
  cudaStream_t stream = nullptr;
};

/// Computes `out` and `lse` on `params.stream`. Deterministic. All pointers are device pointers.
[[nodiscard]] KernelStatus memory_attention_forward(const MemoryAttentionForwardParams& params);

/// Bytes of scratch memory that a backward of this shape needs; it may hold anything before.
[[nodiscard]] size_t memory_attention_backward_workspace_bytes(const MemoryAttentionShape& shape);

/// Computes all gradients on `params.stream`. Deterministic: two runs give equal bits.
[[nodiscard]] KernelStatus memory_attention_backward(const MemoryAttentionBackwardParams& params);

} // namespace fcc::kernels
