#include "fcc/engine/fused_executor.h"

#include <algorithm>
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
#include "engine/rotary_tables.h"
#include "engine/segmented_batch.h"
#include "fcc/core/error.h"
#include "fcc/engine/engine_choice.h"
#include "fcc/ops/cross_entropy.h"
#include "fcc/ops/memory_attention_choice.h"
#include "fcc/ops/rms_norm.h"

namespace fcc {
namespace {

constexpr std::int64_t kForwardChunkSegments = 32;

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

/// One micro-batch on its way through the chunks.
struct FusedExecutor::Pass {
  SegmentedBatch batch;
  ChunkPlan plan;
  at::Tensor token_losses; ///< [S, B, L]
  at::Tensor loss;         ///< []

  std::int64_t num_segments() const {
    return batch.num_segments();
  }

  /// [S, B, L] → [count·R] of the segments from `first` on.
  at::Tensor rows(const at::Tensor& segments, std::int64_t first, std::int64_t count) const {
    return segments.slice(0, first, first + count).reshape({count * plan.shape.rows()});
  }

  PassResult result() const {
    return {loss, batch.by_row(token_losses)};
  }
};

FusedExecutor::FusedExecutor(FlatParameters& parameters, const EngineSection& engine)
    : parameters_(parameters),
      policy_(parameters.config()),
      engine_(engine),
      attention_(choose_attention(
                     engine.attention,
                     attention_use(
                         parameters.compute().device(),
                         parameters.compute().scalar_type(),
                         parameters.config().head_dim,
                         engine.kernels))
                     .attention),
      weights_(parameters.view(parameters.compute())),
      grads_(parameters.view(parameters.grad())),
      chunks_(std::make_unique<ChunkCache>()) {
  leave_out_frozen(grads_, parameters.regions().no_decay);
  if (parameters.config().arch() == Architecture::kLocalGlobal) {
    throw ConfigError(
        "engine.execution",
        "`fused` does not serve the architecture local_global",
        "fused",
        "use reference");
  }
}

FusedExecutor::~FusedExecutor() = default;

const RotaryTables& FusedExecutor::rotary_tables(std::int64_t length, bool with_memory) {
  if (!rotary_.cos.defined() || rotary_.cos.size(0) != length ||
      rotary_with_memory_ != with_memory) {
    rotary_ = make_rotary_tables(policy_, length, with_memory, weights_.norm.options());
    rotary_with_memory_ = with_memory;
  }
  return rotary_;
}

FusedExecutor::Pass FusedExecutor::begin(const MicroBatch& batch, const MemoryState* state) {
  const std::int64_t length = policy_.segment_length(batch.ids.size(1));

  Pass pass;
  pass.batch = cut_into_segments(
      batch, length, state, policy_.has_first(), policy_.bptt_segments(engine_.bptt_segments));
  const bool wide = weights_.norm.scalar_type() == at::kDouble;
  pass.token_losses = at::zeros(
      pass.batch.ids.sizes(), weights_.norm.options().dtype(wide ? at::kDouble : at::kFloat));

  ChunkPlan& plan = pass.plan;
  plan.has_memory =
      policy_.is_seen(pass.num_segments(), state != nullptr && state->memory.defined());
  plan.shape = cell_shape_of(parameters_.config(), batch.ids.size(0), length);
  plan.weights = weights_.layers;
  plan.grads = grads_.layers;
  plan.rotary = rotary_tables(length, plan.has_memory);
  plan.attention = attention_;
  plan.schedule = engine_.schedule;
  plan.memory_source = policy_.source();
  plan.weight_product_rows = weight_product_rows_;
  plan.graph_pool = engine_.cuda_graphs ? &graph_pool_ : nullptr;
  return pass;
}

at::Tensor FusedExecutor::incoming_memory(const Pass& pass, const MemoryState* state) const {
  if (!pass.plan.has_memory) {
    return {};
  }
  const CellShape& shape = pass.plan.shape;
  const at::TensorOptions options = weights_.norm.options();
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

std::int64_t FusedExecutor::chunk_segments(const ChunkPlan& plan, std::int64_t num_segments) const {
  if (engine_.chunk_segments) {
    return even_chunk_segments(num_segments, *engine_.chunk_segments);
  }
  if (engine_.activations == Activations::kRecompute) {
    return even_chunk_segments(num_segments, kRecomputeChunkSegments);
  }
  if (engine_.activations == Activations::kStore || !engine_.memory_gib) {
    return num_segments;
  }
  const std::int64_t most = segments_that_fit(
      engine_,
      parameters_.config(),
      {.batch = plan.shape.batch,
       .num_segments = num_segments,
       .segment_length = plan.shape.length},
      num_segments,
      processor_of(weights_.norm.device(), engine_, parameters_.config()),
      static_cast<std::int64_t>(*engine_.memory_gib * 0x1p30));
  return even_chunk_segments(num_segments, std::max<std::int64_t>(1, most));
}

Chunk& FusedExecutor::chunk_of(const Pass& pass, std::int64_t num_segments, Chunk::Keep keep) {
  return chunks_->get(
      pass.plan,
      num_segments,
      keep,
      weights_.norm.options(),
      head_workspace_elements(weights_.lm_head, num_segments * pass.plan.shape.rows()));
}

void FusedExecutor::load(
    const Pass& pass,
    std::int64_t first,
    const at::Tensor& memory,
    const Chunk& chunk) const {
  const at::Tensor ids = pass.rows(pass.batch.ids, first, chunk.num_segments());
  chunk.x0().copy_(at::index_select(weights_.embed_tokens, 0, ids).view(chunk.x0().sizes()));
  if (pass.plan.has_memory) {
    chunk.memory_in().copy_(memory);
  }
}

void FusedExecutor::run_head(
    Pass& pass,
    std::int64_t first,
    const Chunk& chunk,
    bool with_gradient) {
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
  if (!grads_.embed_tokens.defined()) {
    return;
  }
  const at::Tensor ids = pass.rows(pass.batch.ids, first, chunk.num_segments());
  const at::Tensor rows =
      chunk.grad_x0().reshape({-1, pass.plan.shape.width}).to(grads_.embed_tokens.scalar_type());
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

PassResult FusedExecutor::train(const MicroBatch& batch) {
  require_gradients(parameters_);
  const c10::AutoGradMode no_graph(false);
  const c10::DeviceGuard device(weights_.norm.device());
  Pass pass = begin(batch, nullptr);
  const std::int64_t prefix = batch.num_prefix_segments;
  const std::int64_t segments = pass.num_segments();
  check(prefix < segments, "FusedExecutor::train", "the prefix must leave segments to train on");
  const std::int64_t step = chunk_segments(pass.plan, segments - prefix);
  const std::int64_t num_chunks = (segments - prefix + step - 1) / step;
  const std::int64_t last_first = prefix + (num_chunks - 1) * step;

  // 1. Forward only through the prefix and all chunks but the last: the memory at each border.
  const auto at_rest = [&](const at::Tensor& memory) {
    if (!memory.defined() || !engine_.boundary_memory_on_host || !memory.is_cuda()) {
      return memory.defined() ? memory.clone() : memory;
    }
    const at::Tensor host =
        at::empty(memory.sizes(), memory.options().device(at::kCPU).pinned_memory(true));
    return host.copy_(memory, /*non_blocking=*/true);
  };
  std::vector<at::Tensor> borders;
  at::Tensor memory = incoming_memory(pass, nullptr);
  for (std::int64_t first = 0; first < last_first;) {
    const std::int64_t end = first < prefix ? prefix : last_first;
    const std::int64_t count = std::min(step, end - first);
    if (first >= prefix) {
      borders.push_back(at_rest(memory));
    }
    // A whole chunk may as well go through the one that will keep its activations later.
    Chunk& chunk =
        chunk_of(pass, count, count == step ? Chunk::Keep::kActivations : Chunk::Keep::kNothing);
    load(pass, first, memory, chunk);
    chunk.forward(pass.batch.memory_of(first, count));
    memory = chunk.memory_out().clone();
    first += count;
  }
  borders.push_back(memory);

  // 2. From the last chunk to the first: forward again, head, backward.
  at::Tensor grad_memory;
  for (std::int64_t j = num_chunks - 1; j >= 0; --j) {
    const std::int64_t first = prefix + j * step, count = std::min(step, segments - first);
    Chunk& chunk = chunk_of(pass, count, Chunk::Keep::kActivations);
    const ChunkMemory seen = pass.batch.memory_of(first, count);
    load(pass, first, borders[static_cast<std::size_t>(j)], chunk);
    chunk.forward(seen);
    run_head(pass, first, chunk, /*with_gradient=*/true);
    chunk.backward(seen, grad_memory, weight_mode_);
    weight_mode_ = GradInput::kAccumulate;
    add_input_gradients(pass, first, chunk);
    if (pass.plan.has_memory) {
      grad_memory = chunk.grad_memory_in().clone();
    }
  }

  // 3. A learned first memory is a parameter; after a prefix it is out of the gradient's reach.
  if (grads_.layers.initial_memory.defined() && prefix == 0) {
    const CellShape& shape = pass.plan.shape;
    grads_.layers.initial_memory.add_(
        grad_memory.view({shape.num_layers, shape.batch, shape.length, shape.width})
            .to(grads_.layers.initial_memory.scalar_type())
            .sum(1));
  }
  return pass.result();
}

PassResult FusedExecutor::evaluate(const MicroBatch& batch, MemoryState* state) {
  const c10::AutoGradMode no_graph(false);
  const c10::DeviceGuard device(weights_.norm.device());
  if (state != nullptr && state->partial_ids.defined() && state->partial_ids.size(1) > 0) {
    throw Error(
        "FusedExecutor::evaluate",
        "goes on at a segment border only",
        std::to_string(state->partial_ids.size(1)) + " tokens in the open segment");
  }
  Pass pass = begin(batch, state);
  if (!policy_.carries() && state != nullptr && state->position > 0) {
    throw Error("FusedExecutor::evaluate", "a plain Llama has no memory to go on from");
  }
  const CellShape& shape = pass.plan.shape;
  const std::int64_t segments = pass.num_segments();
  const std::int64_t full = pass.batch.total / shape.length; // whole segments
  const std::int64_t prefix = batch.num_prefix_segments;
  pass.loss = at::zeros({}, pass.token_losses.options());
  at::Tensor memory = incoming_memory(pass, state);
  const bool had_memory = state != nullptr && state->memory.defined();
  at::Tensor after_full = had_memory ? memory : at::Tensor();

  for (std::int64_t first = 0; first < segments;) {
    // A shorter last segment is a chunk of its own: the state keeps the memory before it.
    const std::int64_t whole = first < full ? full : segments;
    const std::int64_t end = first < prefix ? std::min(prefix, whole) : whole;
    const std::int64_t count = std::min(kForwardChunkSegments, end - first);
    Chunk& chunk = chunk_of(pass, count, Chunk::Keep::kNothing);
    load(pass, first, memory, chunk);
    chunk.forward(pass.batch.memory_of(first, count));
    if (first >= prefix) { // outside the loss, as in `train`
      run_head(pass, first, chunk, /*with_gradient=*/false);
    }
    memory = chunk.memory_out().clone();
    first += count;
    if (first <= full) {
      after_full = memory;
    }
  }
  if (state != nullptr && policy_.carries()) {
    if (full > 0) {
      state->memory = after_full.view({shape.num_layers, shape.batch, shape.length, shape.width});
      state->present = at::Tensor();
    }
    state->position += full * shape.length;
    state->partial_ids = pass.batch.total > full * shape.length
                             ? batch.ids.slice(1, full * shape.length).clone()
                             : at::Tensor();
  }
  return pass.result();
}

} // namespace fcc
