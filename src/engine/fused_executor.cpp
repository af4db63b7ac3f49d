#include "fcc/engine/fused_executor.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "fcc/core/error.h"
#include "fcc/engine/memory_estimate.h"
#include "fcc/ops/cell_ops.h"
#include "fcc/ops/cross_entropy.h"
#include "fcc/ops/rope.h"

namespace fcc {
namespace {

constexpr std::int64_t kForwardChunkSegments = 32;
constexpr std::int64_t kRecomputeChunkSegments = 32;
constexpr std::int64_t kHeadBytes = std::int64_t{1} << 30; // logits of a chunk of tokens

/// [B, T] → [S, B, L], the last segment filled up with `fill`.
at::Tensor by_segment(const at::Tensor& tokens, std::int64_t length, const at::Scalar& fill) {
  const std::int64_t batch = tokens.size(0), total = tokens.size(1);
  const std::int64_t segments = (total + length - 1) / length;
  at::Tensor padded = tokens;
  if (segments * length != total) {
    padded = at::full({batch, segments * length}, fill, tokens.options());
    padded.slice(1, 0, total).copy_(tokens);
  }
  return padded.view({batch, segments, length}).transpose(0, 1).contiguous();
}

/// [S, B, L] → [B, T], without the filling.
at::Tensor by_row(const at::Tensor& segments, std::int64_t total) {
  return segments.transpose(0, 1).reshape({segments.size(1), -1}).slice(1, 0, total).contiguous();
}

/// Tables [L, E/2] of positions first … first + L - 1.
std::pair<at::Tensor, at::Tensor> half_tables(
    const std::vector<double>& frequencies,
    std::int64_t first,
    std::int64_t length,
    const at::TensorOptions& options) {
  const RopeTable table = make_rope_table(frequencies, first, length, options);
  const std::int64_t half = table.cos.size(1) / 2;
  return {table.cos.slice(1, 0, half).contiguous(), table.sin.slice(1, half).contiguous()};
}

RotaryTables make_rotary(
    const ModelConfig& config,
    std::int64_t length,
    bool with_memory,
    const at::TensorOptions& options) {
  const auto sums = options.dtype(options.dtype() == at::kDouble ? at::kDouble : at::kFloat);
  std::optional<RopeLlama3Scaling> scaling;
  if (config.rope_scaling) {
    scaling = RopeLlama3Scaling{
        config.rope_scaling->factor,
        config.rope_scaling->low_freq_factor,
        config.rope_scaling->high_freq_factor,
        config.rope_scaling->original_max_position_embeddings};
  }
  const auto frequencies = rope_frequencies(config.head_dim, config.rope_theta, scaling);
  RotaryTables tables;
  // RoPE is relative, so `global` positions are those of the window.
  const MemoryPositions positions =
      config.fcc ? config.fcc->memory_positions : MemoryPositions::kWindow;
  const bool window =
      positions == MemoryPositions::kWindow || positions == MemoryPositions::kGlobal;
  std::tie(tables.cos, tables.sin) =
      half_tables(frequencies, window && with_memory ? length : 0, length, sums);
  if (with_memory && positions != MemoryPositions::kNone) {
    std::tie(tables.cos_memory, tables.sin_memory) = half_tables(frequencies, 0, length, sums);
  }
  return tables;
}

/// Undefines the gradients of frozen parameters: nobody computes them.
void leave_out_frozen(ModelWeights& grads, std::int64_t first_frozen) {
  StackWeights& layers = grads.layers;
  for (at::Tensor* grad :
       {&grads.embed_tokens,
        &grads.norm,
        &grads.lm_head,
        &layers.input_layernorm,
        &layers.memory_layernorm,
        &layers.qkv_proj,
        &layers.o_proj,
        &layers.post_attention_layernorm,
        &layers.gate_up_proj,
        &layers.down_proj,
        &layers.initial_memory}) {
    if (grad->defined() && grad->storage_offset() >= first_frozen) {
      *grad = at::Tensor();
    }
  }
}

} // namespace

/// One micro-batch laid out by segment.
struct FusedExecutor::Pass {
  ChunkPlan plan;
  std::int64_t total = 0;                ///< T
  at::Tensor ids, targets, coefficients; ///< [S, B, L]
  at::Tensor token_losses;               ///< [S, B, L]
  at::Tensor loss;                       ///< []
  ChunkMemory memory;                    ///< of all segments

  std::int64_t num_segments() const {
    return ids.size(0);
  }

  ChunkMemory memory_of(std::int64_t first, std::int64_t count) const {
    ChunkMemory part;
    part.visible.assign(memory.visible.begin() + first, memory.visible.begin() + first + count);
    part.cut.assign(memory.cut.begin() + first, memory.cut.begin() + first + count);
    return part;
  }

  PassResult result() const {
    return {loss, by_row(token_losses, total)};
  }
};

FusedExecutor::FusedExecutor(FlatParameters& parameters, const EngineSection& engine)
    : parameters_(parameters),
      engine_(engine),
      weights_(parameters.view(parameters.compute())),
      grads_(parameters.view(parameters.grad())) {
  leave_out_frozen(grads_, parameters.regions().no_decay);
  if (parameters.config().arch() == Architecture::kLocalGlobal) {
    throw ConfigError(
        "engine.execution",
        "`fused` does not serve the architecture local_global",
        "fused",
        "use reference");
  }
  if (engine.attention != AttentionBackend::kAuto) {
    throw ConfigError(
        "engine.attention",
        "`fused` chooses by shape: its own kernel where that serves, plain operators elsewhere",
        std::string(enum_name(engine.attention)),
        "use auto");
  }
}

FusedExecutor::Pass FusedExecutor::begin(const MicroBatch& batch, const MemoryState* state) const {
  const ModelConfig& config = parameters_.config();
  const bool llama = config.arch() == Architecture::kLlama;
  const std::int64_t rows = batch.ids.size(0), total = batch.ids.size(1);
  const std::int64_t length = llama ? total : config.fcc->segment_length;

  Pass pass;
  pass.total = total;
  pass.ids = by_segment(batch.ids, length, 0);
  pass.targets = by_segment(batch.targets, length, -100);
  pass.coefficients = by_segment(batch.coefficients, length, 0.0);
  pass.token_losses = at::zeros(
      pass.ids.sizes(),
      weights_.norm.options().dtype(
          weights_.norm.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
  const std::int64_t segments = pass.num_segments();

  // Who sees memory: everyone but the first segment (unless something precedes it), and segments
  // that begin a document.
  const bool absent = llama || config.fcc->first_memory == FirstMemory::kAbsent;
  const bool incoming = state != nullptr && state->memory.defined();
  std::vector<bool> first(static_cast<std::size_t>(rows), incoming || !absent);
  if (incoming && state->present.defined() && absent) {
    const at::Tensor present = state->present.to(at::kCPU, at::kBool).contiguous();
    first.assign(present.data_ptr<bool>(), present.data_ptr<bool>() + rows);
  }
  pass.memory.visible.assign(
      static_cast<std::size_t>(segments), std::vector<bool>(static_cast<std::size_t>(rows), true));
  pass.memory.visible[0] = first;
  if (batch.segment_starts_document.defined()) {
    const at::Tensor starts = batch.segment_starts_document.to(at::kCPU, at::kBool);
    if (starts.size(1) != segments) {
      throw Error(
          "FusedExecutor",
          "segment_starts_document must be [B, S]; a plain Llama has one segment",
          std::to_string(starts.size(1)) + " segments for " + std::to_string(segments));
    }
    const auto begins = starts.accessor<bool, 2>();
    for (std::int64_t b = 0; b < rows; ++b) {
      for (std::int64_t s = 0; s < segments; ++s) {
        if (!begins[b][s]) {
          continue;
        }
        if (absent) {
          pass.memory.visible[static_cast<std::size_t>(s)][static_cast<std::size_t>(b)] = false;
        } else if (s > 0 || incoming) {
          throw Error(
              "FusedExecutor",
              "a document that resets memory inside a row needs first_memory: absent",
              "row " + std::to_string(b) + ", segment " + std::to_string(s),
              "set engine.execution to reference");
        }
      }
    }
  }

  // Where the gradient into memory is cut, counted from the first segment with gradient.
  pass.memory.cut.assign(static_cast<std::size_t>(segments), false);
  for (std::int64_t s = batch.num_prefix_segments + 1; engine_.bptt_segments && s < segments; ++s) {
    pass.memory.cut[static_cast<std::size_t>(s)] =
        (s - batch.num_prefix_segments) % *engine_.bptt_segments == 0;
  }

  ChunkPlan& plan = pass.plan;
  plan.has_memory = !llama && (segments > 1 || incoming || !absent);
  plan.shape = {
      .num_layers = config.num_hidden_layers,
      .batch = rows,
      .length = length,
      .width = config.hidden_size,
      .heads = config.num_attention_heads,
      .groups = config.num_key_value_heads,
      .head_dim = config.head_dim,
      .mlp_width = config.intermediate_size,
      .eps = config.rms_norm_eps,
      .memory_norm = llama ? MemoryNorm::kShared : config.fcc->memory_norm};
  plan.weights = weights_.layers;
  plan.grads = grads_.layers;
  plan.rotary = make_rotary(config, length, plan.has_memory, weights_.norm.options());
  plan.schedule = engine_.schedule;
  plan.memory_source = llama ? MemorySource::kOutput : config.fcc->memory_source;
  return pass;
}

at::Tensor FusedExecutor::first_memory(const Pass& pass) const {
  const CellShape& shape = pass.plan.shape;
  if (!pass.plan.has_memory) {
    return {};
  }
  if (parameters_.config().fcc->first_memory == FirstMemory::kLearned) {
    return weights_.layers.initial_memory.unsqueeze(1)
        .expand({shape.num_layers, shape.batch, shape.length, shape.width})
        .reshape({shape.num_layers, shape.rows(), shape.width});
  }
  // Where the first memory is absent nobody looks at it, but it has to be finite.
  return at::zeros({shape.num_layers, shape.rows(), shape.width}, weights_.norm.options());
}

at::Tensor FusedExecutor::incoming_memory(const Pass& pass, const MemoryState* state) const {
  const CellShape& shape = pass.plan.shape;
  at::Tensor memory = first_memory(pass);
  if (state == nullptr || !state->memory.defined()) {
    return memory;
  }
  const at::Tensor given = state->memory.to(memory.options());
  if (!state->present.defined()) {
    return given.reshape(memory.sizes());
  }
  const at::Tensor rows = state->present.to(memory.device(), at::kBool).view({1, -1, 1, 1});
  const at::Tensor first = memory.view({shape.num_layers, shape.batch, shape.length, shape.width});
  return at::where(rows, given, first).reshape(memory.sizes());
}

std::int64_t FusedExecutor::chunk_segments(const ChunkPlan& plan, std::int64_t num_segments) const {
  if (engine_.chunk_segments) {
    return std::min(*engine_.chunk_segments, num_segments);
  }
  if (engine_.activations == Activations::kRecompute) {
    return std::min(kRecomputeChunkSegments, num_segments);
  }
  if (engine_.activations == Activations::kStore || !engine_.memory_gib) {
    return num_segments;
  }
  const auto budget = static_cast<std::int64_t>(*engine_.memory_gib * 0x1p30) -
                      state_bytes(parameters_.num_parameters(), engine_.dtype) - kHeadBytes;
  return segments_that_fit(
      plan.shape,
      num_segments,
      plan.has_memory,
      static_cast<std::int64_t>(weights_.norm.element_size()),
      budget);
}

void FusedExecutor::load(
    const Pass& pass,
    std::int64_t first,
    const at::Tensor& memory,
    const Chunk& chunk) const {
  const at::Tensor ids = pass.ids.slice(0, first, first + chunk.num_segments()).reshape({-1});
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
  const auto part = [&](const at::Tensor& segments) {
    return segments.slice(0, first, first + count).reshape({rows});
  };
  const at::Tensor last = chunk.x_last().view({1, rows, shape.width});
  const at::Tensor hidden = at::empty_like(last);
  const at::Tensor norm = weights_.norm.unsqueeze(0);
  rms_norm_forward(last, norm, shape.eps, hidden);
  const at::Tensor flat = hidden.select(0, 0);
  const at::Tensor targets = part(pass.targets), coefficients = part(pass.coefficients);
  const CrossEntropyResult result =
      with_gradient ? linear_cross_entropy_with_gradient(
                          flat, weights_.lm_head, targets, coefficients, grads_.lm_head)
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
        GradInput::kOverwrite,
        chunk.grad_x_last().view({1, rows, shape.width}),
        grads_.norm.defined() ? grads_.norm.unsqueeze(0) : at::Tensor());
  }
}

void FusedExecutor::add_input_gradients(const Pass& pass, std::int64_t first, const Chunk& chunk) {
  if (!grads_.embed_tokens.defined()) {
    return;
  }
  const CellShape& shape = pass.plan.shape;
  const at::Tensor ids = pass.ids.slice(0, first, first + chunk.num_segments()).reshape({-1});
  const at::Tensor rows =
      chunk.grad_x0().reshape({-1, shape.width}).to(grads_.embed_tokens.scalar_type());
  grads_.embed_tokens.index_put_({ids}, rows, /*accumulate=*/true);
}

PassResult FusedExecutor::train(const MicroBatch& batch) {
  const c10::AutoGradMode no_graph(false);
  Pass pass = begin(batch, nullptr);
  const auto options = weights_.norm.options();
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
  std::optional<Chunk> chunk;
  const auto resize = [&](std::int64_t count, Chunk::Keep keep) -> Chunk& {
    if (!chunk || chunk->num_segments() != count || chunk->keep() != keep) {
      chunk.reset();
      chunk.emplace(pass.plan, count, keep, options);
    }
    return *chunk;
  };
  for (std::int64_t first = 0; first < last_first;) {
    const std::int64_t end = first < prefix ? prefix : last_first;
    const std::int64_t count = std::min(step, end - first);
    if (first >= prefix) {
      borders.push_back(at_rest(memory));
    }
    Chunk& forward_only = resize(count, Chunk::Keep::kNothing);
    load(pass, first, memory, forward_only);
    forward_only.forward(pass.memory_of(first, count));
    memory = forward_only.memory_out().clone();
    first += count;
  }
  borders.push_back(memory);

  // 2. From the last chunk to the first: forward again, head, backward.
  at::Tensor grad_memory;
  for (std::int64_t j = num_chunks - 1; j >= 0; --j) {
    const std::int64_t first = prefix + j * step, count = std::min(step, segments - first);
    Chunk& kept = resize(count, Chunk::Keep::kActivations);
    const ChunkMemory seen = pass.memory_of(first, count);
    load(pass, first, borders[static_cast<std::size_t>(j)], kept);
    kept.forward(seen);
    run_head(pass, first, kept, /*with_gradient=*/true);
    kept.backward(seen, grad_memory);
    add_input_gradients(pass, first, kept);
    if (pass.plan.has_memory) {
      grad_memory = kept.grad_memory_in().clone();
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
  if (state != nullptr && state->partial_ids.defined() && state->partial_ids.size(1) > 0) {
    throw Error(
        "FusedExecutor::evaluate",
        "goes on at a segment border only",
        std::to_string(state->partial_ids.size(1)) + " tokens in the open segment");
  }
  Pass pass = begin(batch, state);
  if (parameters_.config().arch() == Architecture::kLlama && state != nullptr &&
      state->position > 0) {
    throw Error("FusedExecutor::evaluate", "a plain Llama has no memory to go on from");
  }
  const CellShape& shape = pass.plan.shape;
  const std::int64_t segments = pass.num_segments();
  const std::int64_t full = pass.total / shape.length; // whole segments
  const std::int64_t prefix = batch.num_prefix_segments;
  pass.loss = at::zeros({}, pass.token_losses.options());
  at::Tensor memory = incoming_memory(pass, state);
  const bool had_memory = state != nullptr && state->memory.defined();
  at::Tensor after_full = had_memory ? memory : at::Tensor();

  std::optional<Chunk> chunk;
  for (std::int64_t first = 0; first < segments;) {
    // A shorter last segment is a chunk of its own: the state keeps the memory before it.
    const std::int64_t whole = first < full ? full : segments;
    const std::int64_t end = first < prefix ? std::min(prefix, whole) : whole;
    const std::int64_t count = std::min(kForwardChunkSegments, end - first);
    if (!chunk || chunk->num_segments() != count) {
      chunk.reset();
      chunk.emplace(pass.plan, count, Chunk::Keep::kNothing, weights_.norm.options());
    }
    load(pass, first, memory, *chunk);
    chunk->forward(pass.memory_of(first, count));
    if (first >= prefix) { // outside the loss, as in `train`
      run_head(pass, first, *chunk, /*with_gradient=*/false);
    }
    memory = chunk->memory_out().clone();
    first += count;
    if (first <= full) {
      after_full = memory;
    }
  }
  if (state != nullptr && parameters_.config().fcc) {
    if (full > 0) {
      state->memory = after_full.view({shape.num_layers, shape.batch, shape.length, shape.width});
      state->present = at::Tensor();
    }
    state->position += full * shape.length;
    state->partial_ids = pass.total > full * shape.length
                             ? batch.ids.slice(1, full * shape.length).clone()
                             : at::Tensor();
  }
  return pass.result();
}

} // namespace fcc
