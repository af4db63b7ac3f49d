#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include "fcc/engine/diagonal.h"
#include "fcc/model/parameters.h"

namespace fcc {

/// The sizes that the cells of one stack share.
struct CellShape {
  std::int64_t num_layers = 0;                      ///< N
  std::int64_t batch = 0;                           ///< B
  std::int64_t length = 0;                          ///< L, tokens of a segment
  std::int64_t width = 0;                           ///< D
  std::int64_t heads = 0, groups = 0, head_dim = 0; ///< H, G, E
  std::int64_t mlp_width = 0;                       ///< F
  double eps = 1e-5;
  MemoryNorm memory_norm = MemoryNorm::kShared;

  std::int64_t rows() const { ///< B·L, rows of one cell
    return batch * length;
  }
  std::int64_t q_width() const {
    return heads * head_dim;
  }
  std::int64_t kv_width() const { ///< keys and values together
    return 2 * groups * head_dim;
  }
};

/// RoPE tables of a segment, [L, E/2] each; undefined memory tables: memory keys are not rotated.
struct RotaryTables {
  at::Tensor cos, sin;
  at::Tensor cos_memory, sin_memory;
};

/// What the backward pass reads of the forward pass, [N, S, …] each. S is the number of segments of
/// the chunk, or 1 where nothing is kept (then every diagonal writes over the last).
struct CellActivations {
  at::Tensor qkv;        ///< [N, S, R, (H + 2G)·E], rotated
  at::Tensor kv_memory;  ///< [N, S, R, 2G·E], rotated; undefined: no memory
  at::Tensor attention;  ///< [N, S, R, H·E]
  at::Tensor lse;        ///< [N, S, B, H, L]
  at::Tensor mid;        ///< [N, S, R, D], Y of docs/method.md
  at::Tensor gate_up;    ///< [N, S, R, 2F]; the backward pass overwrites it with its gradient
  at::Tensor mlp_hidden; ///< [N, S, R, F]
};

CellActivations make_activations(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    const at::TensorOptions& options);

/// Gradients that wait for the weight products, [N, S, …] each.
struct CellGradients {
  at::Tensor qkv;       ///< [N, S, R, (H + 2G)·E]
  at::Tensor kv_memory; ///< [N, S, R, 2G·E]
  at::Tensor mid;       ///< [N, S, R, D]
};

CellGradients make_cell_gradients(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    const at::TensorOptions& options);

/// The cells of one diagonal: views of the hidden grid and of what surrounds it.
struct CellBlock {
  Diagonal diagonal;
  at::Tensor x;          ///< [C, R, D] inputs X[n][s]
  at::Tensor memory;     ///< [C, R, D] X[n+1][s-1] (or X[n][s-1]); undefined: no cell has memory
  at::Tensor has_memory; ///< [C, B] bool; undefined: every row has
};

/// One block forward (arXiv 2405.04620, eq. 14-16; docs/method.md): writes `out`
/// [C, R, D] and the activations of its cells.
void forward_cells(
    const CellShape& shape,
    const StackWeights& weights,
    const RotaryTables& rotary,
    const CellBlock& block,
    const CellActivations& activations,
    at::Tensor out);

/// One block backward: from grad_out [C, R, D] to grad_x (written, or added to with
/// `accumulate_x`) and grad_memory [C, R, D] (written; undefined where the block has none), the
/// gradients of the norms' weights (added to `grads`), and what `weight_gradients` needs.
void backward_cells(
    const CellShape& shape,
    const StackWeights& weights,
    const RotaryTables& rotary,
    const CellBlock& block,
    const CellActivations& activations,
    const CellGradients& waiting,
    const at::Tensor& grad_out,
    bool accumulate_x,
    at::Tensor grad_x,
    at::Tensor grad_memory,
    const StackWeights& grads);

/// The products that were put off: every matrix's gradient over all cells of a chunk, one product
/// of S·R rows a layer and matrix, summed in the dtype of `grads`.
/// x, memory, grad_out: [N, S, R, D] views of the grids (memory undefined: none).
void weight_gradients(
    const CellShape& shape,
    const StackWeights& weights,
    const at::Tensor& x,
    const at::Tensor& memory,
    const at::Tensor& grad_out,
    const CellActivations& activations,
    const CellGradients& waiting,
    const StackWeights& grads);

} // namespace fcc
