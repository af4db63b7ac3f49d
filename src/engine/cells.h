#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <ATen/core/Tensor.h>

#include "engine/diagonal.h"
#include "engine/placement.h"
#include "fcc/model/parameters.h"
#include "fcc/ops/attention.h"
#include "fcc/ops/grad_target.h"

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

  bool operator==(const CellShape&) const = default;

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

/// The shape of a model's cells; `length`: tokens of a segment (all, for a plain Llama).
CellShape cell_shape_of(const ModelConfig& model, std::int64_t batch, std::int64_t length);

/// RoPE tables of a segment, [L, E/2] each; undefined memory tables: memory keys are not rotated.
struct RotaryTables {
  at::Tensor cos, sin;
  at::Tensor cos_memory, sin_memory;
};

/// A stack as its cells see it.
struct CellStack {
  CellShape shape;
  StackWeights weights; ///< compute dtype
  StackWeights grads;   ///< float32 or float64; undefined tensors where nothing trains
  RotaryTables rotary;
  std::shared_ptr<const Attention> attention = nullptr; ///< null in a stack that is only measured
};

/// What the backward pass reads of the forward pass: [N, S, R, …] for a chunk, [C, R, …] for the
/// cells of one block.
struct CellActivations {
  at::Tensor qkv;       ///< (H + 2G)·E wide, rotated
  at::Tensor kv_memory; ///< 2G·E, rotated; undefined: no memory
  at::Tensor attention; ///< H·E
  at::Tensor lse;       ///< [N, S, B, H, L]
  at::Tensor mid;       ///< D, Y of docs/method.md
  at::Tensor gate_up;   ///< 2F; the backward pass overwrites it with its gradient
};

/// What the backward pass leaves for the weight products, as wide as above; [N, W, R, …] for a
/// window of W ticks (`Chunk`), [C, R, …] for one block.
struct CellGradients {
  at::Tensor qkv;
  at::Tensor kv_memory;
  at::Tensor mid;
  at::Tensor mlp_hidden; ///< F: silu(gate) ⊙ up, made again on the way back
};

/// Columns of one cell's row in `CellGradients`.
std::int64_t gradient_width(const CellShape& shape, bool with_memory);

CellActivations place_activations(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    at::ScalarType dtype,
    Placement& placement);

/// Lays the gradients of `num_slots` ticks out in `workspace`, a flat buffer of at least
/// N·num_slots·R·gradient_width elements.
CellGradients place_cell_gradients(
    const CellShape& shape,
    std::int64_t num_slots,
    bool with_memory,
    const at::Tensor& workspace);

/// One block's cells: views of the hidden grid and of what surrounds it.
struct CellBlock {
  Diagonal diagonal;
  at::Tensor x;          ///< [C, R, D] inputs X[n][s]
  at::Tensor memory;     ///< [C, R, D] X[n+1][s-1] (or X[n][s-1]); undefined: no cell has memory
  at::Tensor has_memory; ///< [C, B] bool; undefined: every row has
  bool last_cell_has_none = false; ///< `CellAttentionInput::last_cell_has_none`
  CellActivations activations;
};

/// Bytes of temporaries that `num_cells` cells need in `forward_cells`, `backward_cells`, and in
/// `weight_gradients` over `product_rows` rows (0: never called).
std::int64_t scratch_bytes(
    const CellShape& shape,
    std::int64_t num_cells,
    bool with_memory,
    std::int64_t product_rows,
    at::ScalarType dtype);

/// One block forward (arXiv 2405.04620, eq. 14-16; docs/method.md): writes `out`
/// [C, R, D] and the block's activations.
void forward_cells(
    const CellStack& stack,
    const CellBlock& block,
    at::Tensor out,
    Placement scratch);

/// The gradients of one block: of its output, given, and where those of its inputs go.
struct BlockGradients {
  at::Tensor out;         ///< [C, R, D]
  GradTarget x;           ///< [C, R, D]
  GradTarget memory;      ///< [C, R, D]; undefined where the block has none
  CellGradients deferred; ///< what the weight products need
};

/// One block backward: writes the gradients of its inputs and those that the weight products need,
/// and adds those of the norms' weights to the stack's.
void backward_cells(
    const CellStack& stack,
    const CellBlock& block,
    const BlockGradients& gradients,
    Placement scratch);

/// The rows of one layer over neighbouring segments, [rows, …] each.
struct LayerRows {
  at::Tensor x, memory, grad_out; ///< D; memory undefined: none
  CellActivations activations;    ///< gate_up: its gradient by now; lse is not read
  CellGradients deferred;
};

/// The products that were put off: the gradient of every matrix of layer `layer` over `rows`,
/// summed in the dtype of the stack's gradients; `mode`: whether they are added to what is there.
void weight_gradients(
    const CellStack& stack,
    std::int64_t layer,
    const LayerRows& rows,
    GradInput mode,
    Placement scratch);

} // namespace fcc
