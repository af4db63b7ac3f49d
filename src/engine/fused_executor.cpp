#include "engine/fused_executor.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding_dense_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include "engine/chunk_cache.h"
#include "engine/fused_pass.h"
#include "engine/rotary_tables.h"
#include "fcc/core/error.h"
#include "fcc/ops/cross_entropy.h"
#include "fcc/ops/memory_attention_choice.h"
#include "fcc/ops/rms_norm.h"

namespace fcc {
namespace {

/// Undefines the gradients of frozen parameters: nobody computes them.
void leave_out_frozen(ModelWeights& grads, std::int64_t first_frozen) {
  const auto leave_out = [&](at::Tensor& grad) {
    if (grad.defined() && grad.storage_offset() >= first_frozen) {
      grad = at::Tensor();
    }
  };
  StackWeights& layers = grads.layers;
  for (at::Tensor* grad :
       {&grads.embed_tokens,
        &grads.norm,
        &grads.lm_head,
        &layers.input_layernorm,
        &layers.qkv_proj,
        &layers.o_proj,
        &layers.post_attention_layernorm,
        &layers.gate_up_proj,
        &layers.down_proj}) {
    leave_out(*grad);
  }
  for (const auto member : StackWeights::kMembers) {
    leave_out(layers.*member);
  }
}

} // namespace

FusedExecutor::FusedExecutor(FlatParameters& parameters, const EnginePlan& plan, StageLink* link)
    : parameters_(parameters),
      link_(link),
      policy_(parameters.config()),
      plan_(plan),
      attention_(AttentionChoice(plan.attention).attention),
      weights_(parameters.view(parameters.compute())),
      grads_(parameters.view(parameters.grad())),
      chunks_(std::make_unique<ChunkCache>()) {
  leave_out_frozen(grads_, parameters.regions().no_decay);
}

FusedExecutor::~FusedExecutor() = default;

const RotaryTables& FusedExecutor::rotary_tables(std::int64_t length, bool with_memory) {
  if (!rotary_.cos.defined() || rotary_.cos.size(0) != length ||
      rotary_with_memory_ != with_memory) {
    rotary_ =
        make_rotary_tables(policy_, length, with_memory, weights_.layers.input_layernorm.options());
    rotary_with_memory_ = with_memory;
  }
  return rotary_;
}

FusedExecutor::Pass FusedExecutor::begin(const MicroBatch& batch, const MemoryState* state) {
  const std::int64_t length = policy_.segment_length(batch.ids.size(1));

  Pass pass;
  pass.batch = cut_into_segments(
      batch, length, state, policy_.has_first(), policy_.bptt_segments(plan_.bptt_segments));
  const bool wide = weights_.layers.input_layernorm.scalar_type() == at::kDouble;
  pass.token_losses = at::zeros(
      pass.batch.ids.sizes(),
      weights_.layers.input_layernorm.options().dtype(wide ? at::kDouble : at::kFloat));

  const bool has_memory =
      policy_.is_seen(pass.num_segments(), state != nullptr && state->memory.defined());
  ChunkPlan& plan = pass.plan;
  plan = measured_chunk_plan(plan_, parameters_.config(), batch.ids.size(0), length, has_memory);
  plan.weights = weights_.layers;
  plan.grads = grads_.layers;
  plan.rotary = rotary_tables(length, has_memory);
  plan.attention = attention_;
  if (parameters_.stage()) {
    plan.first_layer = parameters_.stage()->first_layer;
  }
  plan.graph_pool = plan_.cuda_graphs ? &graph_pool_ : nullptr;
  return pass;
}

at::Tensor FusedExecutor::incoming_memory(const Pass& pass, const MemoryState* state) const {
  if (!pass.plan.has_memory) {
    return {};
  }
  const CellShape& shape = pass.plan.shape;
  const at::TensorOptions options = weights_.layers.input_layernorm.options();
  at::Tensor carried, present;
  if (state != nullptr && state->memory.defined()) {
    carried = state->memory.to(options);
    if (state->present.defined()) {
      present = state->present.to(options.device(), at::kBool);
    }
  }
  return policy_
      .visible(
          carried,
          present,
          weights_.layers,
          {shape.num_layers, shape.batch, shape.length, shape.width},
          options)
      .reshape({shape.num_layers, shape.rows(), shape.width});
}

Chunk& FusedExecutor::chunk_of(const Pass& pass, std::int64_t num_segments, Chunk::Keep keep) {
  return chunks_->get(
      pass.plan,
      num_segments,
      keep,
      weights_.layers.input_layernorm.options(),
      has_head() ? head_workspace_elements(weights_.lm_head, num_segments * pass.plan.shape.rows())
                 : 0);
}

void FusedExecutor::load(
    const Pass& pass,
    std::int64_t first,
    const at::Tensor& memory,
    const Chunk& chunk) const {
  if (embeds()) {
    const at::Tensor ids = pass.rows(pass.batch.ids, first, chunk.num_segments());
    chunk.x0().copy_(at::index_select(weights_.embed_tokens, 0, ids).view(chunk.x0().sizes()));
  }
  if (pass.plan.has_memory) {
    chunk.memory_in().copy_(memory);
  }
}

void FusedExecutor::run_head(
    Pass& pass,
    std::int64_t first,
    const Chunk& chunk,
    bool with_gradient) {
  if (!has_head()) {
    if (!pass.loss.defined()) {
      pass.loss = at::zeros({}, pass.token_losses.options());
    }
    return;
  }
  const CellShape& shape = pass.plan.shape;
  const std::int64_t count = chunk.num_segments(), rows = count * shape.rows();
  const at::Tensor last = chunk.x_last().view({1, rows, shape.width});
  const at::Tensor hidden = at::empty_like(last);
  const at::Tensor norm = weights_.norm.unsqueeze(0);
  rms_norm_forward(last, norm, shape.eps, hidden);
  const at::Tensor flat = hidden.select(0, 0);
  const at::Tensor targets = pass.rows(pass.batch.targets, first, count);
  const at::Tensor coefficients = pass.rows(pass.batch.coefficients, first, count);
  const CrossEntropyResult result =
      with_gradient ? linear_cross_entropy_with_gradient(
                          flat,
                          weights_.lm_head,
                          targets,
                          coefficients,
                          grads_.lm_head,
                          {.workspace = chunks_->workspace(), .weight_mode = weight_mode_})
                    : linear_cross_entropy(flat, weights_.lm_head, targets, coefficients);
  pass.loss = pass.loss.defined() ? pass.loss + result.loss : result.loss;
  pass.token_losses.slice(0, first, first + count)
      .copy_(result.token_losses.view({count, shape.batch, shape.length}));
  if (with_gradient) {
    rms_norm_backward(
        result.grad_hidden.unsqueeze(0),
        last,
        norm,
        shape.eps,
        {},
        {chunk.grad_x_last().view({1, rows, shape.width})},
        grads_.norm.defined() ? grads_.norm.unsqueeze(0) : at::Tensor());
  }
}

void FusedExecutor::add_input_gradients(const Pass& pass, std::int64_t first, const Chunk& chunk) {
  at::Tensor grad_x0;
  if (embeds()) {
    grad_x0 = chunk.grad_x0();
  }
  // A tied embedding is trained where the head is, in the order of one process.
  if (link_ != nullptr && parameters_.config().tie_word_embeddings) {
    grad_x0 = has_head() ? at::empty_like(chunk.grad_x_last()) : grad_x0;
    if (embeds() || has_head()) {
      link_->first_to_last(grad_x0);
    }
    if (!has_head()) {
      return;
    }
  }
  if (!grads_.embed_tokens.defined() || !grad_x0.defined()) {
    return;
  }
  const at::Tensor ids = pass.rows(pass.batch.ids, first, chunk.num_segments());
  const at::Tensor rows =
      grad_x0.reshape({-1, pass.plan.shape.width}).to(grads_.embed_tokens.scalar_type());
  if (rows.is_cpu()) { // where index_put_ adds with atomics, in any order
    const std::int64_t vocab = weights_.embed_tokens.size(0);
    grads_.embed_tokens.add_(at::embedding_dense_backward(
        rows, ids, vocab, /*padding_idx=*/-1, /*scale_grad_by_freq=*/false));
  } else {
    grads_.embed_tokens.index_put_({ids}, rows, /*accumulate=*/true);
  }
}

void FusedExecutor::clear_gradients() {
  require_gradients(parameters_);
  // What products write is left to the first of them; what is added row by row starts at zero.
  const bool head_covers_it = parameters_.config().tie_word_embeddings && grads_.lm_head.defined();
  if (grads_.embed_tokens.defined() && !head_covers_it) {
    grads_.embed_tokens.zero_();
  }
  const StackWeights& layers = grads_.layers;
  for (const at::Tensor& grad :
       {grads_.norm, layers.input_layernorm, layers.post_attention_layernorm}) {
    if (grad.defined()) {
      at::Tensor(grad).zero_();
    }
  }
  for (const auto member : StackWeights::kMembers) {
    if ((layers.*member).defined()) {
      at::Tensor(layers.*member).zero_();
    }
  }
  weight_mode_ = GradInput::kOverwrite;
}

} // namespace fcc
