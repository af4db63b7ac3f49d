#include "engine/cells.h"

#include <algorithm>
#include <string_view>

#include "fcc/ops/rms_norm.h"
#include "fcc/ops/rope.h"
#include "fcc/ops/swiglu.h"
#include "ops/linear.h"

namespace fcc {
namespace {

/// Weights of the layers that a block's cells belong to.
at::Tensor layers_of(const at::Tensor& stacked, const Diagonal& diagonal) {
  if (!stacked.defined()) {
    return stacked;
  }
  return stacked.slice(0, diagonal.first_layer, diagonal.first_layer + diagonal.num_cells);
}

/// The weight that memory is normed with; undefined: memory is used as it is.
at::Tensor memory_norm_weight(MemoryNorm norm, const StackWeights& weights) {
  return memory_norm_weight(norm, weights.input_layernorm, weights);
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

CellAttentionInput attention_input(const CellShape& shape, const CellBlock& block) {
  const std::int64_t q = shape.q_width(), half = shape.kv_width() / 2;
  const CellActivations& kept = block.activations;
  CellAttentionInput input;
  input.q = heads_of(shape, kept.qkv, 0, shape.heads);
  input.k = heads_of(shape, kept.qkv, q, shape.groups);
  input.v = heads_of(shape, kept.qkv, q + half, shape.groups);
  if (block.memory.defined()) {
    input.k_mem = heads_of(shape, kept.kv_memory, 0, shape.groups);
    input.v_mem = heads_of(shape, kept.kv_memory, half, shape.groups);
    input.has_memory = block.has_memory;
    input.last_cell_has_none = block.last_cell_has_none;
  }
  return input;
}

/// Temporaries of a block forward: the normed rows, memory's first, then the MLP's input and hidden
/// layer.
struct ForwardScratch {
  at::Tensor normed, mlp_in, hidden;
};

ForwardScratch forward_scratch(
    const CellShape& shape,
    std::int64_t num_cells,
    std::int64_t num_memory,
    at::ScalarType dtype,
    Placement& scratch) {
  const std::int64_t rows = shape.rows();
  return {
      scratch.take("normed rows", {num_cells, num_memory + rows, shape.width}, dtype),
      scratch.take("input of the MLP", {num_cells, rows, shape.width}, dtype),
      scratch.take("hidden layer of the MLP", {num_cells, rows, shape.mlp_width}, dtype)};
}

/// Of a block backward: gradients of what a norm, then attention put out.
struct BackwardScratch {
  at::Tensor grad_normed, grad_attention;
};

BackwardScratch backward_scratch(
    const CellShape& shape,
    std::int64_t num_cells,
    at::ScalarType dtype,
    Placement& scratch) {
  return {
      scratch.take("gradient of normed rows", {num_cells, shape.rows(), shape.width}, dtype),
      scratch.take("gradient of attention", {num_cells, shape.rows(), shape.q_width()}, dtype)};
}

/// Of weight products: rows normed once more.
at::Tensor product_scratch(
    const CellShape& shape,
    std::int64_t num_rows,
    at::ScalarType dtype,
    Placement& scratch) {
  return scratch.take("rows normed again", {1, num_rows, shape.width}, dtype);
}

} // namespace

CellShape cell_shape_of(const ModelConfig& model, std::int64_t batch, std::int64_t length) {
  return {
      .num_layers = model.num_hidden_layers,
      .batch = batch,
      .length = length,
      .width = model.hidden_size,
      .heads = model.num_attention_heads,
      .groups = model.num_key_value_heads,
      .head_dim = model.head_dim,
      .mlp_width = model.intermediate_size,
      .eps = model.rms_norm_eps,
      .memory_norm = MemoryPolicy(model).norm()};
}

std::int64_t gradient_width(const CellShape& shape, bool with_memory) {
  return shape.q_width() + shape.kv_width() + (with_memory ? shape.kv_width() : 0) + shape.width +
         shape.mlp_width;
}

CellActivations place_activations(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    at::ScalarType dtype,
    Placement& placement) {
  const auto place = [&](std::string_view name, std::int64_t width) {
    return placement.take(name, {shape.num_layers, num_segments, shape.rows(), width}, dtype);
  };
  CellActivations placed;
  constexpr std::string_view kHeads = "activations: queries, keys, values, attention";
  placed.qkv = place(kHeads, shape.q_width() + shape.kv_width());
  if (with_memory) {
    placed.kv_memory = place(kHeads, shape.kv_width());
  }
  placed.attention = place(kHeads, shape.q_width());
  placed.lse = placement.take(
      "activations: log-sum-exps",
      {shape.num_layers, num_segments, shape.batch, shape.heads, shape.length},
      dtype == at::kDouble ? at::kDouble : at::kFloat);
  placed.mid = place("activations: between attention and MLP", shape.width);
  placed.gate_up = place("activations: gate and up", 2 * shape.mlp_width);
  return placed;
}

std::int64_t scratch_bytes(
    const CellShape& shape,
    std::int64_t num_cells,
    bool with_memory,
    std::int64_t product_rows,
    at::ScalarType dtype) {
  Placement forward, backward, products;
  forward_scratch(shape, num_cells, with_memory ? shape.rows() : 0, dtype, forward);
  if (product_rows > 0) {
    backward_scratch(shape, num_cells, dtype, backward);
    product_scratch(shape, product_rows, dtype, products);
  }
  return std::max({forward.used_bytes(), backward.used_bytes(), products.used_bytes()});
}

CellGradients place_cell_gradients(
    const CellShape& shape,
    std::int64_t num_slots,
    bool with_memory,
    const at::Tensor& workspace) {
  std::int64_t used = 0;
  const auto place = [&](std::int64_t width) {
    const std::int64_t count = shape.num_layers * num_slots * shape.rows() * width;
    used += count;
    return workspace.slice(0, used - count, used)
        .view({shape.num_layers, num_slots, shape.rows(), width});
  };
  CellGradients placed;
  placed.qkv = place(shape.q_width() + shape.kv_width());
  if (with_memory) {
    placed.kv_memory = place(shape.kv_width());
  }
  placed.mid = place(shape.width);
  placed.mlp_hidden = place(shape.mlp_width);
  return placed;
}

void forward_cells(
    const CellStack& stack,
    const CellBlock& block,
    at::Tensor out,
    Placement scratch) {
  const CellShape& shape = stack.shape;
  const StackWeights& weights = stack.weights;
  const RotaryTables& rotary = stack.rotary;
  const Diagonal& diagonal = block.diagonal;
  const CellActivations& kept = block.activations;
  const std::int64_t cells = diagonal.num_cells, rows = shape.rows();

  // c = rms_norm([M ; X]); q k v = its current part · Wqkv, rotated
  const at::Tensor norm = memory_norm_weight(shape.memory_norm, weights);
  const bool norms_memory = block.memory.defined() && norm.defined();
  const std::int64_t num_memory = norms_memory ? rows : 0;
  const auto [normed, z, hidden] =
      forward_scratch(shape, cells, num_memory, block.x.scalar_type(), scratch);
  const at::Tensor input_norm = layers_of(weights.input_layernorm, diagonal);
  if (norms_memory) {
    rms_norm_forward_with_memory(
        block.memory, layers_of(norm, diagonal), block.x, input_norm, shape.eps, normed);
  } else {
    rms_norm_forward(block.x, input_norm, shape.eps, normed);
  }
  const at::Tensor qkv_proj = layers_of(weights.qkv_proj, diagonal);
  linear_forward(normed.slice(1, num_memory), qkv_proj, {}, kept.qkv);
  rope_in_place(kept.qkv, shape.heads + shape.groups, rotary.cos, rotary.sin, /*inverse=*/false);

  // k v of the memory, by the same weights
  if (block.memory.defined()) {
    linear_forward(
        norms_memory ? normed.slice(1, 0, num_memory) : block.memory,
        kv_rows(shape, qkv_proj),
        {},
        kept.kv_memory);
    if (rotary.cos_memory.defined()) {
      rope_in_place(kept.kv_memory, shape.groups, rotary.cos_memory, rotary.sin_memory, false);
    }
  }

  // o = softmax(q·kᵀ/√E + mask)·v, Y = X + o·Wo
  stack.attention->forward(
      attention_input(shape, block), heads_of(shape, kept.attention, 0, shape.heads), kept.lse);
  linear_forward(kept.attention, layers_of(weights.o_proj, diagonal), block.x, kept.mid);

  // X' = Y + Wdown(silu(Wgate·z) ⊙ Wup·z), z = rms_norm(Y)
  rms_norm_forward(kept.mid, layers_of(weights.post_attention_layernorm, diagonal), shape.eps, z);
  linear_forward(z, layers_of(weights.gate_up_proj, diagonal), {}, kept.gate_up);
  swiglu_forward(kept.gate_up, hidden);
  linear_forward(hidden, layers_of(weights.down_proj, diagonal), kept.mid, out);
}

void backward_cells(
    const CellStack& stack,
    const CellBlock& block,
    const BlockGradients& gradients,
    Placement scratch) {
  const CellShape& shape = stack.shape;
  const StackWeights& weights = stack.weights;
  const StackWeights& grads = stack.grads;
  const RotaryTables& rotary = stack.rotary;
  const CellGradients& deferred = gradients.deferred;
  const Diagonal& diagonal = block.diagonal;
  const CellActivations& kept = block.activations;
  const auto [grad_normed, grad_attention] =
      backward_scratch(shape, diagonal.num_cells, kept.mid.scalar_type(), scratch);

  // MLP: dh, then d(gate, up) in place, then dz
  linear_backward_input(
      gradients.out, layers_of(weights.down_proj, diagonal), {deferred.mlp_hidden});
  swiglu_backward_in_place(deferred.mlp_hidden, kept.gate_up);
  linear_backward_input(kept.gate_up, layers_of(weights.gate_up_proj, diagonal), {grad_normed});
  rms_norm_backward(
      grad_normed,
      kept.mid,
      layers_of(weights.post_attention_layernorm, diagonal),
      shape.eps,
      gradients.out,
      {deferred.mid},
      layers_of(grads.post_attention_layernorm, diagonal));

  // Attention: do, then dq dk dv for the current part and dk dv for the memory
  linear_backward_input(deferred.mid, layers_of(weights.o_proj, diagonal), {grad_attention});
  const std::int64_t q = shape.q_width(), half = shape.kv_width() / 2;
  CellAttentionGrads attention_grads{
      heads_of(shape, deferred.qkv, 0, shape.heads),
      heads_of(shape, deferred.qkv, q, shape.groups),
      heads_of(shape, deferred.qkv, q + half, shape.groups),
      {},
      {}};
  if (block.memory.defined()) {
    attention_grads.k_mem = heads_of(shape, deferred.kv_memory, 0, shape.groups);
    attention_grads.v_mem = heads_of(shape, deferred.kv_memory, half, shape.groups);
  }
  stack.attention->backward(
      attention_input(shape, block),
      heads_of(shape, kept.attention, 0, shape.heads),
      kept.lse,
      heads_of(shape, grad_attention, 0, shape.heads),
      attention_grads);

  // Current part: back through RoPE, Wqkv and the norm, with Y's residual
  const at::Tensor qkv_proj = layers_of(weights.qkv_proj, diagonal);
  rope_in_place(deferred.qkv, shape.heads + shape.groups, rotary.cos, rotary.sin, /*inverse=*/true);
  linear_backward_input(deferred.qkv, qkv_proj, {grad_normed});
  rms_norm_backward(
      grad_normed,
      block.x,
      layers_of(weights.input_layernorm, diagonal),
      shape.eps,
      deferred.mid,
      gradients.x,
      layers_of(grads.input_layernorm, diagonal));

  // Memory part
  if (!block.memory.defined()) {
    return;
  }
  if (rotary.cos_memory.defined()) {
    rope_in_place(
        deferred.kv_memory, shape.groups, rotary.cos_memory, rotary.sin_memory, /*inverse=*/true);
  }
  const at::Tensor norm = memory_norm_weight(shape.memory_norm, weights);
  if (!norm.defined()) {
    linear_backward_input(deferred.kv_memory, kv_rows(shape, qkv_proj), gradients.memory);
    return;
  }
  linear_backward_input(deferred.kv_memory, kv_rows(shape, qkv_proj), {grad_normed});
  rms_norm_backward(
      grad_normed,
      block.memory,
      layers_of(norm, diagonal),
      shape.eps,
      {},
      gradients.memory,
      layers_of(memory_norm_weight(shape.memory_norm, grads), diagonal));
}

void weight_gradients(
    const CellStack& stack,
    std::int64_t layer,
    const LayerRows& rows,
    GradInput mode,
    Placement scratch) {
  const CellShape& shape = stack.shape;
  const StackWeights& weights = stack.weights;
  const StackWeights& grads = stack.grads;
  const at::Tensor normed = product_scratch(shape, rows.x.size(0), rows.x.scalar_type(), scratch);
  const auto norm = [&](const at::Tensor& source, const at::Tensor& weight) {
    rms_norm_forward(source.unsqueeze(0), weight.slice(0, layer, layer + 1), shape.eps, normed);
    return normed.select(0, 0);
  };
  const auto target = [&](const at::Tensor& stacked) -> GradTarget {
    return {stacked.select(0, layer), mode};
  };
  if (grads.down_proj.defined()) {
    linear_backward_weight(rows.grad_out, rows.deferred.mlp_hidden, target(grads.down_proj));
  }
  if (grads.gate_up_proj.defined()) {
    linear_backward_weight(
        rows.activations.gate_up,
        norm(rows.activations.mid, weights.post_attention_layernorm),
        target(grads.gate_up_proj));
  }
  if (grads.o_proj.defined()) {
    linear_backward_weight(rows.deferred.mid, rows.activations.attention, target(grads.o_proj));
  }
  if (!grads.qkv_proj.defined()) {
    return;
  }
  const GradTarget qkv_proj = target(grads.qkv_proj);
  linear_backward_weight(rows.deferred.qkv, norm(rows.x, weights.input_layernorm), qkv_proj);
  if (rows.memory.defined()) {
    const at::Tensor weight = memory_norm_weight(shape.memory_norm, weights);
    linear_backward_weight(
        rows.deferred.kv_memory,
        weight.defined() ? norm(rows.memory, weight) : rows.memory,
        {qkv_proj.grad.slice(0, shape.q_width()), GradInput::kAccumulate});
  }
}

} // namespace fcc
