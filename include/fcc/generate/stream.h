#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/generate/layer_view.h"
#include "fcc/generate/sampler.h"
#include "fcc/model/memory_state.h"
#include "fcc/model/parameters.h"

namespace fcc {

/// Inference over tokens as they come: one token costs one row of every product.
///
/// The keys and values of the memory and of the open segment are cached in each layer; when a
/// segment closes, what its layers put out (or took in, `memory_source: input`) becomes the memory,
/// whose keys and values are computed once for the next segment. So `condensation` and
/// `local_global` need the same room at any length; a `llama`'s cache grows with the text.
/// Logits equal those of the full pass (`reference_forward`) however the tokens are split.
/// Records no gradients. Any batch size, device and floating dtype (those of the weights).
class TokenStream {
 public:
  /// Starts from `state` (its open segment is replayed from `partial_ids`), or from nothing.
  /// `weights` are views that outlive the stream. Errors: `Error` if the state does not fit the
  /// model or the batch size.
  TokenStream(
      const ModelConfig& config,
      const ModelWeights& weights,
      std::int64_t batch_size,
      const MemoryState& state = {});
  ~TokenStream();
  TokenStream(TokenStream&&) noexcept;
  TokenStream& operator=(TokenStream&&) noexcept;

  /// A second stream at the same place, which goes on bit for bit as this one would; neither sees
  /// what the other is fed. Nothing is computed. The observer stays with this one.
  TokenStream fork() const;

  /// Feeds `ids` [B, t], int64 on any device, t >= 1, and returns the logits after the last of
  /// them, [B, V]. Many tokens at once run as whole segments.
  /// Errors: `Error` on another shape, or an id outside the vocabulary (ids on the CPU).
  at::Tensor feed(const at::Tensor& ids);

  /// `feed` without the logits: for prompts that go on.
  void prefill(const at::Tensor& ids);

  /// The logits after the last token so far, [B, V]; `has_logits` tells whether they are known:
  /// not before the first token, nor in a stream restored at a segment's border with
  /// `memory_source: input`. Errors: `Error` where they are not.
  at::Tensor logits() const;
  bool has_logits() const;

  /// Draws the next token of the only row (without feeding it): its place in the text and the
  /// sampler's seed decide. Errors: as `logits`; `Error` if there are more rows.
  std::int32_t draw(const Sampler& sampler) const;

  /// The state after the last token fed; valid anywhere. For a `llama`, all tokens so far.
  MemoryState state() const;

  /// Tokens so far, those of the state it started from included.
  std::int64_t num_tokens() const;

  /// Shows every later pass through the (global) stack to `observer`; null: no more.
  void observe(LayerObserver observer);

 private:
  struct Impl;
  explicit TokenStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Runs the first tokens of prompts [B, t] by other means than a stream, from `state` on, which it
/// leaves after them; returns how many of each row, fewer than t. Empty: none.
using PromptRunner = std::function<std::int64_t(const at::Tensor& ids, MemoryState& state)>;

/// Continues prompts of equal length by `num_tokens` tokens each, greedily (equal logits: the
/// lowest id), with ids below `num_ids` (as in `SamplerOptions`); one row of ids a prompt. Errors:
/// as `TokenStream`; `Error` on unequal lengths.
std::vector<std::vector<std::int32_t>> continue_greedily(
    const ModelConfig& config,
    const ModelWeights& weights,
    const std::vector<std::vector<std::int32_t>>& prompts,
    std::int64_t num_tokens,
    const PromptRunner& run_first = {},
    std::int64_t num_ids = 0);

/// Continues one prompt by tokens that `sampler` draws, until one of `ends` (not among the result)
/// or `max_tokens`.
std::vector<std::int32_t> continue_sampled(
    const ModelConfig& config,
    const ModelWeights& weights,
    const std::vector<std::int32_t>& prompt,
    const Sampler& sampler,
    std::int64_t max_tokens,
    std::span<const std::int32_t> ends,
    const PromptRunner& run_first = {});

} // namespace fcc
