#include "engine/reference_executor.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/embedding_dense_backward.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"
#include "fcc/ops/cross_entropy.h"

namespace fcc {
namespace {

// Without gradient, this many tokens of a row run at a time: memory stays the same at any length.
constexpr std::int64_t kStretchTokens = 4096;

void check_batch(const MicroBatch& batch) {
  check(
      batch.ids.dim() == 2 && batch.ids.sizes() == batch.targets.sizes(),
      "Executor",
      "ids and targets must both be [B, T]");
  check(batch.num_prefix_segments >= 0, "Executor", "num_prefix_segments must not be negative");
}

at::Tensor wide_zeros(const at::Tensor& values, at::IntArrayRef shape) {
  const auto wide = values.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::zeros(shape, values.options().dtype(wide).requires_grad(false));
}

} // namespace

ReferenceExecutor::ReferenceExecutor(FlatParameters& parameters, const EnginePlan& plan)
    : parameters_(parameters),
      bptt_segments_(plan.bptt_segments),
      compute_(parameters.view(parameters.compute())),
      grad_(parameters.view(parameters.grad())),
      values_(cut_layers(parameters.config(), compute_)),
      leaves_(values_),
      stack_(
          parameters.config(),
          plan.attention,
          parameters.compute().device(),
          parameters.compute().scalar_type()) {
  if (!parameters.grad().defined()) {
    return; // nothing to train
  }
  const ModelConfig& config = parameters.config();
  const ReferenceWeights master = cut_layers(config, parameters.view(parameters.master()));
  const ReferenceWeights grad = cut_layers(config, grad_);
  const auto make_leaves = [&](std::vector<ReferenceLayer> ReferenceWeights::*stack) {
    for (std::size_t n = 0; n < (leaves_.*stack).size(); ++n) {
      for_each_weight([&](ReferenceWeight ReferenceLayer::*member) {
        make_leaf(
            (leaves_.*stack)[n].*member, (master.*stack)[n].*member, (grad.*stack)[n].*member);
      });
    }
  };
  make_leaves(&ReferenceWeights::local);
  make_leaves(&ReferenceWeights::layers);
  make_leaf(leaves_.norm, master.norm, grad.norm);
  make_leaf(leaves_.memory_tokens, master.memory_tokens, grad.memory_tokens);
}

bool ReferenceExecutor::is_frozen(const at::Tensor& view) const {
  return view.storage_offset() >= parameters_.regions().no_decay;
}

void ReferenceExecutor::make_leaf(
    ReferenceWeight& weight,
    const ReferenceWeight& master,
    const ReferenceWeight& grad) {
  if (!weight.defined() || is_frozen(grad.value)) {
    return;
  }
  at::Tensor leaf = master.value.detach();
  leaf.set_requires_grad(true);
  leaf.mutable_grad() = grad.value;
  if (parameters_.compute().is_same(parameters_.master())) {
    weight.value = leaf;
  } else {
    weight.master = leaf;
  }
}

at::Tensor ReferenceExecutor::embed(const at::Tensor& ids) const {
  return at::embedding(compute_.embed_tokens, ids);
}

ReferenceOptions
ReferenceExecutor::options_for(const MicroBatch& batch, std::int64_t start, std::int64_t length) {
  ReferenceOptions options;
  if (batch.segment_starts_document.defined()) {
    const std::int64_t T = batch.ids.size(1), L = stack_.segment_length(T);
    check(
        batch.segment_starts_document.dim() == 2 &&
            batch.segment_starts_document.size(1) == (T + L - 1) / L,
        "Executor",
        "segment_starts_document must be [B, S]; a plain Llama has one segment of all tokens");
    options.segment_starts_document =
        batch.segment_starts_document.narrow(1, start / L, (length + L - 1) / L);
  }
  return options;
}

ReferenceOutput ReferenceExecutor::run_stretch(
    const MicroBatch& batch,
    std::int64_t start,
    std::int64_t length,
    const MemoryState& state) {
  const at::Tensor ids = batch.ids.narrow(1, start, length);
  return stack_.forward(values_, embed(ids), ids, state, options_for(batch, start, length));
}

MemoryState ReferenceExecutor::run_prefix(const MicroBatch& batch, std::int64_t num_tokens) {
  const at::NoGradGuard no_grad;
  const std::int64_t L = stack_.segment_length(batch.ids.size(1));
  const std::int64_t stretch = std::max<std::int64_t>(kStretchTokens / L, 1) * L;
  MemoryState state;
  for (std::int64_t start = 0; start < num_tokens; start += stretch) {
    state = run_stretch(batch, start, std::min(stretch, num_tokens - start), state).state;
  }
  return state;
}

void ReferenceExecutor::clear_gradients() {
  require_gradients(parameters_);
  parameters_.grad().zero_();
}

PassResult ReferenceExecutor::train(const MicroBatch& batch, const PassHooks& hooks) {
  require_gradients(parameters_);
  check_batch(batch);
  if (hooks.before_use) {
    // The last layer of the deeper stack, and all that come before it.
    hooks.before_use(std::max(std::ssize(values_.local), std::ssize(values_.layers)) - 1);
  }
  const std::int64_t T = batch.ids.size(1);
  const std::int64_t prefix = batch.num_prefix_segments * stack_.segment_length(T);
  check(prefix < T, "Executor::train", "the prefix must leave tokens to train on");
  const MemoryState state = run_prefix(batch, prefix);
  const std::int64_t length = T - prefix;
  const at::Tensor ids = batch.ids.narrow(1, prefix, length);

  at::Tensor embedded, hidden; // [B, length, D]
  {
    const at::AutoGradMode with_grad(true);
    embedded = embed(ids).detach();
    embedded.set_requires_grad(!is_frozen(grad_.embed_tokens));
    ReferenceOptions options = options_for(batch, prefix, length);
    options.bptt_segments = bptt_segments_;
    hidden = stack_.forward(leaves_, embedded, ids, state, options).hidden;
  }
  const CrossEntropyResult head = linear_cross_entropy_with_gradient(
      hidden.detach().flatten(0, 1),
      compute_.lm_head,
      batch.targets.narrow(1, prefix, length).reshape({-1}),
      batch.coefficients.narrow(1, prefix, length).reshape({-1}),
      is_frozen(grad_.lm_head) ? at::Tensor() : grad_.lm_head);
  if (hidden.requires_grad()) {
    hidden.backward(head.grad_hidden.view_as(hidden));
  }
  if (embedded.grad().defined()) {
    const at::NoGradGuard no_grad;
    grad_.embed_tokens.add_(at::embedding_dense_backward(
        embedded.grad().to(grad_.embed_tokens.scalar_type()),
        ids,
        compute_.embed_tokens.size(0),
        /*padding_idx=*/-1,
        /*scale_grad_by_freq=*/false));
  }

  PassResult result;
  result.loss = head.loss;
  result.token_losses = wide_zeros(hidden, batch.ids.sizes());
  result.token_losses.narrow(1, prefix, length).copy_(head.token_losses.view({-1, length}));
  return result;
}

PassResult ReferenceExecutor::evaluate(const MicroBatch& batch, MemoryState* state) {
  const at::NoGradGuard no_grad;
  check_batch(batch);
  const std::int64_t T = batch.ids.size(1), L = stack_.segment_length(T);
  const std::int64_t prefix = batch.num_prefix_segments * L;
  const std::int64_t stretch = std::max<std::int64_t>(kStretchTokens / L, 1) * L;
  MemoryState from_start;
  MemoryState& carried = state != nullptr ? *state : from_start;

  PassResult result;
  result.loss = wide_zeros(compute_.embed_tokens, {});
  result.token_losses = wide_zeros(compute_.embed_tokens, batch.ids.sizes());
  for (std::int64_t start = 0; start < T; start += stretch) {
    const std::int64_t length = std::min(stretch, T - start);
    ReferenceOutput output = run_stretch(batch, start, length, carried);
    carried = std::move(output.state);
    const std::int64_t skipped = std::clamp<std::int64_t>(prefix - start, 0, length);
    if (skipped == length) {
      continue;
    }
    const std::int64_t first = start + skipped, counted = length - skipped;
    const at::Tensor targets = batch.targets.narrow(1, first, counted).reshape({-1});
    const CrossEntropyResult head = linear_cross_entropy(
        output.hidden.narrow(1, skipped, counted).reshape({-1, output.hidden.size(2)}),
        compute_.lm_head,
        targets,
        batch.coefficients.narrow(1, first, counted).reshape({-1}));
    result.loss.add_(head.loss);
    result.token_losses.narrow(1, first, counted).copy_(head.token_losses.view({-1, counted}));
  }
  return result;
}

} // namespace fcc
