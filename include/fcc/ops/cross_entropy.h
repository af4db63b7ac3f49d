#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "fcc/ops/grad_target.h"

namespace fcc {

/// Losses of the head, and the gradient of its input after the training form.
struct CrossEntropyResult {
  at::Tensor loss; ///< [] Σ coefficient × cross-entropy, float32 (float64 for float64 inputs)
  at::Tensor token_losses; ///< [M] cross-entropy of each target, 0 where it is ignored
  at::Tensor grad_hidden;  ///< [M, D] in the dtype of `hidden`; undefined after the forward form
};

/// How the head goes about it.
struct CrossEntropyOptions {
  std::int64_t chunk_tokens = 0; ///< tokens whose logits exist at a time; 0: chosen by size
  /// Flat, in the dtype of `hidden`: the logits of a chunk lie here if
  /// `head_workspace_elements` fit; else, or undefined, in memory of their own.
  at::Tensor workspace = {};
  GradInput weight_mode = GradInput::kAccumulate; ///< of the weight's gradient
};

/// Tokens whose logits exist at a time by default; `with_kernels`: where the project's kernels
/// serve.
std::int64_t head_chunk_tokens(std::int64_t num_tokens, std::int64_t vocab_size, bool with_kernels);

/// Elements of `CrossEntropyOptions::workspace` that serve `num_tokens` and this weight [V, D];
/// 0 where the form that runs there (float32, float64, a CPU) has no use for it.
std::int64_t head_workspace_elements(const at::Tensor& weight, std::int64_t num_tokens);

/// logits = hidden · weightᵀ and their cross-entropy, over chunks of tokens, so that the logits of
/// a whole sequence never exist. Logits are float32 at least once they leave the product.
/// Source: arXiv 2405.04620, eq. 17, with one coefficient per target.
///
/// By default a chunk's logits have up to 2^26 elements, 2^29 (1 GiB) where the project's kernels
/// serve. Not recorded by autograd.
CrossEntropyResult linear_cross_entropy(
    const at::Tensor& hidden,       // [M, D]
    const at::Tensor& weight,       // [V, D]
    const at::Tensor& targets,      // [M] int64, negative: ignored
    const at::Tensor& coefficients, // [M]
    const CrossEntropyOptions& options = {});

/// The same and its backward in one sweep: the gradient of the logits, coefficient × (softmax -
/// one-hot), takes the place of the logits of its chunk.
///
/// grad_weight [V, D]: the weight's gradient is added into it, in its own dtype (float32 at least);
/// undefined: the weight is frozen.
CrossEntropyResult linear_cross_entropy_with_gradient(
    const at::Tensor& hidden,       // [M, D]
    const at::Tensor& weight,       // [V, D]
    const at::Tensor& targets,      // [M] int64, negative: ignored
    const at::Tensor& coefficients, // [M]
    const at::Tensor& grad_weight,  // [V, D] or undefined
    const CrossEntropyOptions& options = {});

} // namespace fcc
