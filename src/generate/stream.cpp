#include "fcc/generate/stream.h"
#include "generate/cached_stack.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "fcc/core/error.h"
#include "fcc/model/reference.h"
#include "fcc/ops/rms_norm.h"

namespace fcc {
namespace {

// A llama's prompt runs in pieces of so many tokens, which bounds the table of its scores.
constexpr std::int64_t kLlamaPiece = 512;

std::string shape_text(at::IntArrayRef sizes) {
  std::string text = "[";
  for (const std::int64_t size : sizes) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

} // namespace

struct TokenStream::Impl {
  Impl(const ModelConfig& config_, const ModelWeights& weights_, std::int64_t batch_size_)
      : config(config_),
        weights(weights_),
        batch_size(batch_size_),
        policy(config_),
        stack(config_, weights_.layers, batch_size_) {
    check(batch_size >= 1, "TokenStream", "the batch size must be at least 1");
    if (config.arch() == Architecture::kLocalGlobal) {
      local.emplace(config, weights.local, batch_size);
    }
    L = policy.carries() ? policy.segment_length(0) : 0;
  }

  at::TensorOptions options() const {
    return weights.embed_tokens.options();
  }

  RopeTable table(std::optional<std::int64_t> first, std::int64_t count) const {
    return policy.rotations(first, count, options());
  }

  std::vector<std::int64_t> memory_shape() const {
    return policy.memory_shape(batch_size);
  }

  at::TensorOptions memory_options() const {
    return options().dtype(policy.memory_dtype(weights.embed_tokens.scalar_type()));
  }

  // The memory that the segment sees, where it is no rows of keys before it.
  at::Tensor visible(const MemoryWeights<at::Tensor>& first) const {
    return policy.visible(closed.memory, closed.present, first, memory_shape(), memory_options());
  }

  bool each_layer() const { // rows of each layer make its memory
    return policy.is_rows_before() && !local;
  }

  void begin_segment() {
    stack.clear();
    memory = at::Tensor();
    if (policy.is_seen(1, closed.memory.defined())) {
      memory =
          policy.visible(closed.memory, closed.present, weights.layers, memory_shape(), options());
    }
    positions = policy.positions(closed.position, memory.defined() ? L : 0);
    if (policy.head_memory() != nullptr) {
      stack.set_head_memory(visible({}));
    } else if (policy.num_tokens() > 0) {
      tokens = visible({.initial_memory = weights.memory_tokens})[0];
      stack.advance(tokens, table(positions.segment, policy.num_tokens()));
      positions.segment += policy.num_tokens();
    }
    if (local) {
      local->clear();
      if (memory.defined()) {
        // The previous segment's result goes on through the global layers; only its keys and
        // values are needed (arXiv 2405.04620v1, eq. 17).
        stack.advance(memory[0], table(positions.memory, L));
      }
    } else if (memory.defined()) {
      stack.set_memory(memory, table(positions.memory, L));
    }
    // With a first memory every row has some memory to see.
    stack.mask_cached(memory.defined() && !policy.has_first() ? closed.present : at::Tensor());
    if (policy.is_rows_before()) {
      next_memory = at::empty(memory_shape(), options());
    }
    segment_open = true;
  }

  // Rows of the open segment, which they do not overfill: ids [B, t].
  void advance(const at::Tensor& ids) {
    if (!segment_open) {
      begin_segment();
    }
    const std::int64_t t = ids.size(1);
    at::Tensor x = embed(weights, ids); // [B, t, D]
    if (local) {
      x = local->advance(x, table(num_open, t));
    }
    const LayerObserver keep = [&](const LayerView& view) {
      if (each_layer()) {
        const std::int64_t n = view.layer;
        next_memory[n]
            .narrow(1, num_open, t)
            .copy_(policy.remember(
                {.memory = memory.defined() ? memory[n].narrow(1, num_open, t) : memory,
                 .input = view.input,
                 .output = view.output,
                 .weights = weights.layers.memory_of_layer(n)}));
      }
      if (observer) {
        observer(view);
      }
    };
    x = stack.advance(x, table(positions.segment + num_open, t), keep);
    if (local) {
      next_memory[0].narrow(1, num_open, t).copy_(x);
    }
    last_hidden = x.select(1, t - 1).clone();
    open_ids.push_back(ids);
    num_open += t;
    if (num_open == L) {
      close_segment();
    }
  }

  void close_segment() {
    if (policy.head_memory() != nullptr) {
      next_memory = stack.head_memory();
    } else if (policy.num_tokens() > 0) {
      const at::Tensor written =
          stack.advance(tokens, table(positions.segment + L, policy.num_tokens()));
      next_memory = rms_norm(written, weights.norm, config.rms_norm_eps).unsqueeze(0);
    }
    closed.memory = next_memory;
    closed.present = at::Tensor();
    closed.position += L;
    num_open = 0;
    open_ids.clear();
    segment_open = false;
  }

  void prefill(const at::Tensor& ids) {
    const at::NoGradGuard no_gradients;
    if (ids.dim() != 2 || ids.size(0) != batch_size || ids.size(1) < 1 ||
        ids.scalar_type() != at::kLong) {
      throw Error(
          "TokenStream",
          "ids must be int64 of shape [" + std::to_string(batch_size) + ", t] with t >= 1",
          std::string(ids.toString()) + " " + shape_text(ids.sizes()));
    }
    if (ids.is_cpu() && (ids.min().item<std::int64_t>() < 0 ||
                         ids.max().item<std::int64_t>() >= config.vocab_size)) {
      throw Error(
          "TokenStream",
          "ids must lie in 0.." + std::to_string(config.vocab_size - 1),
          std::to_string(ids.min().item<std::int64_t>()) + " to " +
              std::to_string(ids.max().item<std::int64_t>()),
          "is this the model's own tokenizer?");
    }
    const at::Tensor on_device = ids.to(weights.embed_tokens.device());
    for (std::int64_t begin = 0; begin < ids.size(1);) {
      const std::int64_t room = L > 0 ? L - num_open : kLlamaPiece;
      const std::int64_t count = std::min(room, ids.size(1) - begin);
      advance(on_device.narrow(1, begin, count));
      begin += count;
    }
  }

  void restore(const MemoryState& state) {
    if (state.memory.defined()) {
      const std::vector<std::int64_t> wanted = memory_shape();
      if (!policy.carries() || state.memory.sizes() != at::IntArrayRef(wanted)) {
        throw Error(
            "TokenStream",
            policy.carries()
                ? "the state's memory must be [layers, batch, rows, width] = " + shape_text(wanted)
                : "a llama has no memory to start from",
            shape_text(state.memory.sizes()));
      }
      closed.memory = state.memory.detach().to(memory_options());
      if (state.present.defined()) {
        closed.present = state.present.to(options().device(), at::kBool);
      }
      if (policy.ends_with_output()) {
        last_hidden = closed.memory[policy.num_memories() - 1].select(1, L - 1);
      }
    }
    closed.position = state.position;
    if (state.partial_ids.defined() && state.partial_ids.numel() > 0) {
      check(
          L == 0 || state.partial_ids.size(-1) < L,
          "TokenStream",
          "the state's open segment must be shorter than the model's segments",
          shape_text(state.partial_ids.sizes()));
      prefill(state.partial_ids.to(at::kLong));
    }
  }

  ModelConfig config;
  ModelWeights weights;
  std::int64_t batch_size;
  std::int64_t L = 0; ///< tokens in a segment; 0: one segment without end (llama)
  MemoryPolicy policy;
  CachedStack stack;
  std::optional<CachedStack> local;
  LayerObserver observer;

  MemoryState closed;               ///< of the closed segments; `partial_ids` unused
  bool segment_open = false;        ///< the caches hold the memory and the open segment's rows
  std::int64_t num_open = 0;        ///< tokens of the open segment
  std::vector<at::Tensor> open_ids; ///< [B, t] each
  at::Tensor memory;                ///< [N or 1, B, L, D] what the open segment sees; or undefined
  at::Tensor tokens;                ///< [B, m, D] memory tokens that it reads (rmt)
  KeyPositions positions;           ///< of the open segment and its memory
  at::Tensor next_memory;           ///< [N or 1, B, L, D], filled row by row
  at::Tensor last_hidden;           ///< [B, D] after the last token, before the final norm
};

TokenStream::TokenStream(
    const ModelConfig& config,
    const ModelWeights& weights,
    std::int64_t batch_size,
    const MemoryState& state)
    : impl_(std::make_unique<Impl>(config, weights, batch_size)) {
  const at::NoGradGuard no_gradients;
  impl_->restore(state);
}

TokenStream::TokenStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TokenStream::~TokenStream() = default;
TokenStream::TokenStream(TokenStream&&) noexcept = default;
TokenStream& TokenStream::operator=(TokenStream&&) noexcept = default;

TokenStream TokenStream::fork() const {
  const at::NoGradGuard no_gradients;
  auto copy = std::make_unique<Impl>(*impl_);
  // All else that the two share is replaced, never written into.
  copy->stack = impl_->stack.fork();
  if (impl_->local) {
    copy->local = impl_->local->fork();
  }
  if (copy->next_memory.defined()) {
    copy->next_memory = copy->next_memory.clone();
  }
  copy->observer = nullptr;
  return TokenStream(std::move(copy));
}

void TokenStream::prefill(const at::Tensor& ids) {
  impl_->prefill(ids);
}

at::Tensor TokenStream::feed(const at::Tensor& ids) {
  impl_->prefill(ids);
  return logits();
}

bool TokenStream::has_logits() const {
  return impl_->last_hidden.defined();
}

at::Tensor TokenStream::logits() const {
  const at::NoGradGuard no_gradients;
  check(has_logits(), "TokenStream::logits", "a token must be fed first");
  return reference_logits(
      impl_->weights,
      rms_norm(impl_->last_hidden, impl_->weights.norm, impl_->config.rms_norm_eps));
}

std::int32_t TokenStream::draw(const Sampler& sampler) const {
  check(impl_->batch_size == 1, "TokenStream::draw", "needs a stream of one row");
  const at::Tensor row = logits().to(at::kCPU, at::kDouble).contiguous(); // [1, V]
  return sampler.sample(
      {row.const_data_ptr<double>(), static_cast<std::size_t>(row.numel())}, num_tokens());
}

MemoryState TokenStream::state() const {
  MemoryState state = impl_->closed;
  if (!impl_->open_ids.empty()) {
    state.partial_ids = at::cat(impl_->open_ids, 1);
  }
  return state;
}

std::int64_t TokenStream::num_tokens() const {
  return impl_->closed.position + impl_->num_open;
}

void TokenStream::observe(LayerObserver observer) {
  impl_->observer = std::move(observer);
}

namespace {

/// A stream that has read the prompts `ids` [B, t].
TokenStream stream_after(
    const ModelConfig& config,
    const ModelWeights& weights,
    const at::Tensor& ids,
    const PromptRunner& run_first) {
  MemoryState state;
  const std::int64_t done = run_first ? run_first(ids, state) : 0;
  TokenStream stream(config, weights, ids.size(0), state);
  stream.prefill(ids.slice(1, done));
  return stream;
}

} // namespace

std::vector<std::vector<std::int32_t>> continue_greedily(
    const ModelConfig& config,
    const ModelWeights& weights,
    const std::vector<std::vector<std::int32_t>>& prompts,
    std::int64_t num_tokens,
    const PromptRunner& run_first,
    std::int64_t num_ids) {
  std::vector<std::vector<std::int32_t>> answers(prompts.size());
  if (prompts.empty() || num_tokens < 1) {
    return answers;
  }
  const auto rows = static_cast<std::int64_t>(prompts.size());
  const auto length = static_cast<std::int64_t>(prompts.front().size());
  std::vector<std::int64_t> ids;
  for (const auto& prompt : prompts) {
    check(
        static_cast<std::int64_t>(prompt.size()) == length,
        "continue_greedily",
        "prompts that run together must have equal lengths",
        std::to_string(prompt.size()) + " and " + std::to_string(length));
    ids.insert(ids.end(), prompt.begin(), prompt.end());
  }
  TokenStream stream =
      stream_after(config, weights, at::tensor(ids, at::kLong).view({rows, length}), run_first);
  for (std::int64_t i = 0; i < num_tokens; ++i) {
    at::Tensor logits = stream.logits(); // [B, V]
    if (num_ids > 0) {
      logits = logits.narrow(1, 0, std::min(num_ids, logits.size(1)));
    }
    const at::Tensor next = logits.argmax(1, /*keepdim=*/true).cpu(); // [B, 1]
    for (std::int64_t row = 0; row < rows; ++row) {
      answers[static_cast<std::size_t>(row)].push_back(
          static_cast<std::int32_t>(next[row].item<std::int64_t>()));
    }
    if (i + 1 < num_tokens) {
      stream.prefill(next);
    }
  }
  return answers;
}

std::vector<std::int32_t> continue_sampled(
    const ModelConfig& config,
    const ModelWeights& weights,
    const std::vector<std::int32_t>& prompt,
    const Sampler& sampler,
    std::int64_t max_tokens,
    std::span<const std::int32_t> ends,
    const PromptRunner& run_first) {
  const std::vector<std::int64_t> wide(prompt.begin(), prompt.end());
  TokenStream stream =
      stream_after(config, weights, at::tensor(wide, at::kLong).unsqueeze(0), run_first);
  std::vector<std::int32_t> text;
  while (static_cast<std::int64_t>(text.size()) < max_tokens) {
    const std::int32_t id = stream.draw(sampler);
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) {
      break;
    }
    text.push_back(id);
    stream.prefill(at::tensor(std::vector<std::int64_t>{id}, at::kLong).unsqueeze(0));
  }
  return text;
}

} // namespace fcc
