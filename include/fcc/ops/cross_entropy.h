#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace fcc {

/// Losses of the head, and the gradient of its input after the training form.
struct CrossEntropyResult {
  at::Tensor loss; ///< [] Σ coefficient × cross-entropy, float32 (float64 for float64 inputs)
  at::Tensor token_losses; ///< [M] cross-entropy of each target, 0 where it is ignored
  at::Tensor grad_hidden;  ///< [M, D] in the dtype of `hidden`; undefined after the forward form
};

/// logits = hidden · weightᵀ and their cross-entropy, over chunks of tokens, so that the logits of
/// a whole sequence never exist. Logits are float32 at least once they leave the product.
/// Source: arXiv 2405.04620, eq. 17, with one coefficient per target.
///
/// `chunk_tokens` 0: as many as keep a chunk's logits at 2^26 elements. Not recorded by autograd.
CrossEntropyResult linear_cross_entropy(
    const at::Tensor& hidden,       // [M, D]
    const at::Tensor& weight,       // [V, D]
    const at::Tensor& targets,      // [M] int64, negative: ignored
    const at::Tensor& coefficients, // [M]
    std::int64_t chunk_tokens = 0);

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
    std::int64_t chunk_tokens = 0);

} // namespace fcc
