#include "fcc/engine/cells.h"

#include <ATen/ops/empty.h>

#include "fcc/ops/cell_attention.h"
#include "fcc/ops/cell_ops.h"

namespace fcc {
namespace {

/// Weights of the layers that a block's cells belong to.
at::Tensor layers_of(const at::Tensor& stacked, const Diagonal& diagonal) {
  if (!stacked.defined()) {
    return stacked;
  }
  return stacked.slice(0, diagonal.first_layer, diagonal.first_layer + diagonal.num_cells);
}

/// Where a block's cells keep `kept` [N, S, …], as [C, …]; with S = 1 every layer has one scratch
/// place for all its segments.
at::Tensor cells_of(const at::Tensor& kept, const Diagonal& diagonal) {
  return kept.size(1) == 1 ? layers_of(kept.select(1, 0), diagonal) : diagonal_view(kept, diagonal);
}

/// The weight that memory is normed with; undefined: memory is used as it is.
at::Tensor memory_norm_weight(MemoryNorm norm, const StackWeights& weights) {
  switch (norm) {
    case MemoryNorm::kShared:
      return weights.input_layernorm;
    case MemoryNorm::kOwn:
      return weights.memory_layernorm;
    case MemoryNorm::kNone:
      break;
  }
  return {};
}

/// Rows of k_proj and v_proj in the stacked qkv_proj [N, (H + 2G)·E, D].
at::Tensor kv_rows(const CellShape& shape, const at::Tensor& qkv_proj) {
  return qkv_proj.slice(1, shape.q_width());
}

/// Columns `first` … of rows [C, R, width] as heads [C, B, L, count, E].
at::Tensor
heads_of(const CellShape& shape, const at::Tensor& rows, std::int64_t first, std::int64_t count) {
  return rows.slice(2, first, first + count * shape.head_dim)
      .unflatten(2, {count, shape.head_dim})
      .unflatten(1, {shape.batch, shape.length});
}

CellAttentionInput attention_input(
    const CellShape& shape,
    const CellBlock& block,
    const at::Tensor& qkv,
    const at::Tensor& kv_memory) {
  const std::int64_t q = shape.q_width(), half = shape.kv_width() / 2;
  CellAttentionInput input;
  input.q = heads_of(shape, qkv, 0, shape.heads);
  input.k = heads_of(shape, qkv, q, shape.groups);
  input.v = heads_of(shape, qkv, q + half, shape.groups);
  if (block.memory.defined()) {
    input.k_mem = heads_of(shape, kv_memory, 0, shape.groups);
    input.v_mem = heads_of(shape, kv_memory, half, shape.groups);
    input.has_memory = block.has_memory;
  }
  return input;
}

at::Tensor
empty_cells(const at::Tensor& like, std::int64_t cells, std::int64_t rows, std::int64_t width) {
  return at::empty({cells, rows, width}, like.options());
}

} // namespace

CellActivations make_activations(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    const at::TensorOptions& options) {
  const auto make = [&](std::int64_t width) {
    return at::empty({shape.num_layers, num_segments, shape.rows(), width}, options);
  };
  const auto sums = options.dtype() == at::kDouble ? options : options.dtype(at::kFloat);
  CellActivations made;
  made.qkv = make(shape.q_width() + shape.kv_width());
  if (with_memory) {
    made.kv_memory = make(shape.kv_width());
  }
  made.attention = make(shape.q_width());
  made.lse =
      at::empty({shape.num_layers, num_segments, shape.batch, shape.heads, shape.length}, sums);
  made.mid = make(shape.width);
  made.gate_up = make(2 * shape.mlp_width);
  made.mlp_hidden = make(shape.mlp_width);
  return made;
}

CellGradients make_cell_gradients(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    const at::TensorOptions& options) {
  const auto make = [&](std::int64_t width) {
    return at::empty({shape.num_layers, num_segments, shape.rows(), width}, options);
  };
  CellGradients made;
  made.qkv = make(shape.q_width() + shape.kv_width());
  if (with_memory) {
    made.kv_memory = make(shape.kv_width());
  }
  made.mid = make(shape.width);
  return made;
}

void forward_cells(
    const CellShape& shape,
    const StackWeights& weights,
    const RotaryTables& rotary,
    const CellBlock& block,
    const CellActivations& activations,
    at::Tensor out) {
  const Diagonal& diagonal = block.diagonal;
  const std::int64_t cells = diagonal.num_cells, rows = shape.rows();
  const at::Tensor normed = empty_cells(block.x, cells, rows, shape.width);

  // a = rms_norm(X), q k v = a·Wqkv, rotated
  const at::Tensor qkv = cells_of(activations.qkv, diagonal);
  const at::Tensor qkv_proj = layers_of(weights.qkv_proj, diagonal);
  rms_norm_forward(block.x, layers_of(weights.input_layernorm, diagonal), shape.eps, normed);
  linear_forward(normed, qkv_proj, {}, qkv);
  rope_in_place(qkv, shape.heads + shape.groups, rotary.cos, rotary.sin, /*inverse=*/false);

  // k v of the memory, by the same weights
  at::Tensor kv_memory;
  if (block.memory.defined()) {
    kv_memory = cells_of(activations.kv_memory, diagonal);
    const at::Tensor norm = memory_norm_weight(shape.memory_norm, weights);
    at::Tensor source = block.memory;
    if (norm.defined()) {
      rms_norm_forward(block.memory, layers_of(norm, diagonal), shape.eps, normed);
      source = normed;
    }
    linear_forward(source, kv_rows(shape, qkv_proj), {}, kv_memory);
    if (rotary.cos_memory.defined()) {
      rope_in_place(kv_memory, shape.groups, rotary.cos_memory, rotary.sin_memory, false);
    }
  }

  // o = softmax(q·kᵀ/√E + mask)·v, Y = X + o·Wo
  const at::Tensor attention = cells_of(activations.attention, diagonal);
  cell_attention_forward(
      attention_input(shape, block, qkv, kv_memory),
      heads_of(shape, attention, 0, shape.heads),
      cells_of(activations.lse, diagonal));
  const at::Tensor mid = cells_of(activations.mid, diagonal);
  linear_forward(attention, layers_of(weights.o_proj, diagonal), block.x, mid);

  // X' = Y + Wdown(silu(Wgate·z) ⊙ Wup·z), z = rms_norm(Y)
  const at::Tensor gate_up = cells_of(activations.gate_up, diagonal);
  const at::Tensor mlp_hidden = cells_of(activations.mlp_hidden, diagonal);
  rms_norm_forward(mid, layers_of(weights.post_attention_layernorm, diagonal), shape.eps, normed);
  linear_forward(normed, layers_of(weights.gate_up_proj, diagonal), {}, gate_up);
  swiglu_forward(gate_up, mlp_hidden);
  linear_forward(mlp_hidden, layers_of(weights.down_proj, diagonal), mid, out);
}

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
    const StackWeights& grads) {
  const Diagonal& diagonal = block.diagonal;
  const std::int64_t cells = diagonal.num_cells, rows = shape.rows();
  const at::Tensor mid = cells_of(activations.mid, diagonal);
  const at::Tensor gate_up = cells_of(activations.gate_up, diagonal);

  // MLP: dh, then d(gate, up) in place, then dz
  const at::Tensor grad_hidden = empty_cells(mid, cells, rows, shape.mlp_width);
  const at::Tensor grad_normed = empty_cells(mid, cells, rows, shape.width);
  linear_backward_input(grad_out, layers_of(weights.down_proj, diagonal), grad_hidden);
  swiglu_backward(grad_hidden, gate_up);
  linear_backward_input(gate_up, layers_of(weights.gate_up_proj, diagonal), grad_normed);
  const at::Tensor grad_mid = cells_of(waiting.mid, diagonal);
  rms_norm_backward(
      grad_normed,
      mid,
      layers_of(weights.post_attention_layernorm, diagonal),
      shape.eps,
      grad_out,
      GradInput::kOverwrite,
      grad_mid,
      layers_of(grads.post_attention_layernorm, diagonal));

  // Attention: do, then dq dk dv for the current part and dk dv for the memory
  const at::Tensor qkv = cells_of(activations.qkv, diagonal);
  const at::Tensor grad_qkv = cells_of(waiting.qkv, diagonal);
  const at::Tensor attention = cells_of(activations.attention, diagonal);
  const at::Tensor grad_attention = empty_cells(mid, cells, rows, shape.q_width());
  linear_backward_input(grad_mid, layers_of(weights.o_proj, diagonal), grad_attention);
  at::Tensor kv_memory, grad_kv_memory;
  const std::int64_t q = shape.q_width(), half = shape.kv_width() / 2;
  CellAttentionGrads attention_grads{
      heads_of(shape, grad_qkv, 0, shape.heads),
      heads_of(shape, grad_qkv, q, shape.groups),
      heads_of(shape, grad_qkv, q + half, shape.groups),
      {},
      {}};
  if (block.memory.defined()) {
    kv_memory = cells_of(activations.kv_memory, diagonal);
    grad_kv_memory = cells_of(waiting.kv_memory, diagonal);
    attention_grads.k_mem = heads_of(shape, grad_kv_memory, 0, shape.groups);
    attention_grads.v_mem = heads_of(shape, grad_kv_memory, half, shape.groups);
  }
  cell_attention_backward(
      attention_input(shape, block, qkv, kv_memory),
      heads_of(shape, attention, 0, shape.heads),
      cells_of(activations.lse, diagonal),
      heads_of(shape, grad_attention, 0, shape.heads),
      attention_grads);

  // Current part: back through RoPE, Wqkv and the norm, with Y's residual
  const at::Tensor qkv_proj = layers_of(weights.qkv_proj, diagonal);
  rope_in_place(grad_qkv, shape.heads + shape.groups, rotary.cos, rotary.sin, /*inverse=*/true);
  linear_backward_input(grad_qkv, qkv_proj, grad_normed);
  rms_norm_backward(
      grad_normed,
      block.x,
      layers_of(weights.input_layernorm, diagonal),
      shape.eps,
      grad_mid,
      accumulate_x ? GradInput::kAccumulate : GradInput::kOverwrite,
      grad_x,
      layers_of(grads.input_layernorm, diagonal));

  // Memory part
  if (block.memory.defined()) {
    if (rotary.cos_memory.defined()) {
      rope_in_place(
          grad_kv_memory, shape.groups, rotary.cos_memory, rotary.sin_memory, /*inverse=*/true);
    }
    const at::Tensor norm = memory_norm_weight(shape.memory_norm, weights);
    if (norm.defined()) {
      linear_backward_input(grad_kv_memory, kv_rows(shape, qkv_proj), grad_normed);
      rms_norm_backward(
          grad_normed,
          block.memory,
          layers_of(norm, diagonal),
          shape.eps,
          {},
          GradInput::kOverwrite,
          grad_memory,
          layers_of(memory_norm_weight(shape.memory_norm, grads), diagonal));
    } else {
      linear_backward_input(grad_kv_memory, kv_rows(shape, qkv_proj), grad_memory);
    }
  }
}

void weight_gradients(
    const CellShape& shape,
    const StackWeights& weights,
    const at::Tensor& x,
    const at::Tensor& memory,
    const at::Tensor& grad_out,
    const CellActivations& activations,
    const CellGradients& waiting,
    const StackWeights& grads) {
  const std::int64_t rows = x.size(1) * x.size(2);                // S·R
  const auto flat = [&](const at::Tensor& kept, std::int64_t n) { // [S·R, width] of layer n
    return kept.select(0, n).reshape({rows, kept.size(3)});
  };
  const at::Tensor normed = empty_cells(x, 1, rows, shape.width);
  const auto norm = [&](const at::Tensor& source, const at::Tensor& weight, std::int64_t n) {
    rms_norm_forward(flat(source, n).unsqueeze(0), weight.slice(0, n, n + 1), shape.eps, normed);
    return normed.select(0, 0);
  };
  for (std::int64_t n = 0; n < shape.num_layers; ++n) {
    if (grads.down_proj.defined()) {
      linear_backward_weight(
          flat(grad_out, n), flat(activations.mlp_hidden, n), grads.down_proj.select(0, n));
    }
    if (grads.gate_up_proj.defined()) {
      linear_backward_weight(
          flat(activations.gate_up, n), // its gradient by now
          norm(activations.mid, weights.post_attention_layernorm, n),
          grads.gate_up_proj.select(0, n));
    }
    if (grads.o_proj.defined()) {
      linear_backward_weight(
          flat(waiting.mid, n), flat(activations.attention, n), grads.o_proj.select(0, n));
    }
    if (!grads.qkv_proj.defined()) {
      continue;
    }
    const at::Tensor grad_qkv_proj = grads.qkv_proj.select(0, n);
    linear_backward_weight(
        flat(waiting.qkv, n), norm(x, weights.input_layernorm, n), grad_qkv_proj);
    if (memory.defined()) {
      const at::Tensor weight = memory_norm_weight(shape.memory_norm, weights);
      linear_backward_weight(
          flat(waiting.kv_memory, n),
          weight.defined() ? norm(memory, weight, n) : flat(memory, n),
          grad_qkv_proj.slice(0, shape.q_width()));
    }
  }
}

} // namespace fcc
