// The passes of the fused engine: chunks in their order, and what a stage hands to its neighbours.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include "engine/fused_pass.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::int64_t kForwardChunkSegments = 32;

/// Receives `inputs` [S, …], one segment ahead of the one that is needed, in the order of the pass
/// (`step` 1: from the first on; -1: from the last on), and sends `outputs` on to the other side.
SegmentFlow flow_through(
    StageLink* link,
    const at::Tensor& inputs,
    StageLink::Neighbour from,
    const at::Tensor& outputs,
    std::int64_t step) {
  SegmentFlow flow;
  if (inputs.defined()) {
    const std::int64_t count = inputs.size(0);
    const std::int64_t start = step > 0 ? 0 : count - 1;
    // Outlives this function with `flow`: the transfer that is under way.
    const auto coming = std::make_shared<std::function<void()>>();
    *coming = link->begin_receive(inputs.select(0, start), from);
    flow.need = [=](std::int64_t segment) {
      (*coming)();
      if (const std::int64_t next = segment + step; next >= 0 && next < count) {
        *coming = link->begin_receive(inputs.select(0, next), from);
      }
    };
  }
  if (outputs.defined()) {
    const auto to = from == StageLink::Neighbour::kBelow ? StageLink::Neighbour::kAbove
                                                         : StageLink::Neighbour::kBelow;
    flow.done = [=](std::int64_t segment) { link->begin_send(outputs.select(0, segment), to); };
  }
  return flow;
}

} // namespace

SegmentFlow FusedExecutor::flow_up(const Chunk& chunk) const {
  using Neighbour = StageLink::Neighbour;
  return flow_through(
      link_,
      embeds() ? at::Tensor() : chunk.x0(),
      Neighbour::kBelow,
      has_head() ? at::Tensor() : chunk.x_last(),
      /*step=*/1);
}

SegmentFlow FusedExecutor::flow_down(const Chunk& chunk) const {
  using Neighbour = StageLink::Neighbour;
  return flow_through(
      link_,
      has_head() ? at::Tensor() : chunk.grad_x_last(),
      Neighbour::kAbove,
      embeds() ? at::Tensor() : chunk.grad_x0(),
      /*step=*/-1);
}

void FusedExecutor::finish_sends() const {
  if (link_ != nullptr) {
    link_->finish_sends();
  }
}

/// A learned first memory is a parameter; after a prefix it is out of the gradient's reach.
void FusedExecutor::add_first_memory_gradient(const Pass& pass, const at::Tensor& grad_memory) {
  const at::Tensor& grad = grads_.layers.initial_memory;
  if (!grad.defined()) {
    return;
  }
  const CellShape& shape = pass.plan.shape;
  grad.add_(grad_memory.view({shape.num_layers, shape.batch, shape.length, shape.width})
                .to(grad.scalar_type())
                .sum(1));
}

PassResult FusedExecutor::train(const MicroBatch& batch, const PassHooks& hooks) {
  require_gradients(parameters_);
  const c10::AutoGradMode no_graph(false);
  const c10::DeviceGuard device(weights_.layers.input_layernorm.device());
  Pass pass = begin(batch, nullptr);
  const std::int64_t prefix = batch.num_prefix_segments;
  const std::int64_t segments = pass.num_segments();
  check(prefix < segments, "FusedExecutor::train", "the prefix must leave segments to train on");
  const std::int64_t step = even_chunk_segments(segments - prefix, plan_.chunk_segments);
  const std::int64_t num_chunks = (segments - prefix + step - 1) / step;
  const std::int64_t last_first = prefix + (num_chunks - 1) * step;

  auto before_use = hooks.before_use;
  if (before_use) {
    before_use(PassHooks::kOutsideLayers);
  }

  // 1. Forward only through the prefix and all chunks but the last: the memory at each border.
  const auto at_rest = [&](const at::Tensor& memory) {
    if (!memory.defined() || !plan_.boundary_memory_on_host || !memory.is_cuda()) {
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
    chunk.forward(
        pass.batch.memory_of(first, count), std::exchange(before_use, {}), flow_up(chunk));
    finish_sends();
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
    chunk.forward(seen, std::exchange(before_use, {}), flow_up(chunk));
    finish_sends();
    run_head(pass, first, chunk, /*with_gradient=*/true);
    const bool announces = j == 0 && hooks.gradients_done != nullptr;
    if (announces) {
      chunk.backward_but_last_round(seen, grad_memory, weight_mode_, flow_down(chunk));
    } else {
      chunk.backward(seen, grad_memory, weight_mode_, flow_down(chunk));
    }
    finish_sends();
    add_input_gradients(pass, first, chunk);
    if (pass.plan.has_memory) {
      grad_memory = chunk.grad_memory_in().clone();
    }
    if (j == 0 && prefix == 0) {
      add_first_memory_gradient(pass, grad_memory);
    }
    if (announces) {
      hooks.gradients_done(PassHooks::kOutsideLayers);
      chunk.last_round(weight_mode_, hooks.gradients_done);
    }
    weight_mode_ = GradInput::kAccumulate;
  }
  return pass.result();
}

PassResult FusedExecutor::evaluate(const MicroBatch& batch, MemoryState* state) {
  const c10::AutoGradMode no_graph(false);
  const c10::DeviceGuard device(weights_.layers.input_layernorm.device());
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
    chunk.forward(pass.batch.memory_of(first, count), {}, flow_up(chunk));
    finish_sends();
    if (first >= prefix) { // outside the loss, as in `train`
      run_head(pass, first, chunk, /*with_gradient=*/false);
    }
    memory = chunk.memory_out().clone();
    first += count;
    if (first <= full) {
      after_full = memory;
    }
  }
  if (link_ != nullptr) {
    pass.loss = pass.loss.to(pass.token_losses.scalar_type()); // alike on all stages
    link_->share_from_last(pass.loss);
    link_->share_from_last(pass.token_losses);
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
