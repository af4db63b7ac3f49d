#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace fcc {

struct CrossEntropyResult {
  at::Tensor loss; ///< [] Σ coefficient × cross-entropy, float32 (float64 for float64 inputs)
  at::Tensor token_losses; ///< [M] cross-entropy of each target, 0 where it is ignored
  at::Tensor grad_hidden;  ///< [M, D] in the dtype of `hidden`; undefined without `grad_weight`
};

/// The head: logits = hidden · weightᵀ and their cross-entropy, forward and backward in one sweep
/// over chunks of tokens, so that the logits of a whole sequence never exist.
///
/// The gradient of the logits, coefficient × (softmax - one-hot), takes the place of the logits
/// of its chunk. Logits and their softmax are float32 at least.
/// Source: arXiv 2405.04620, eq. 17, with one coefficient per target.
///
/// grad_weight [V, D]: the weight's gradient is added into it (float32 at least, whatever the
/// inputs are); undefined: forward only. Nothing here is recorded by autograd.
CrossEntropyResult linear_cross_entropy(
    const at::Tensor& hidden,       // [M, D]
    const at::Tensor& weight,       // [V, D]
    const at::Tensor& targets,      // [M] int64, negative: ignored
    const at::Tensor& coefficients, // [M]
    at::Tensor grad_weight,         // [V, D] or undefined
    std::int64_t chunk_tokens = 0); // 0: as many as keep a chunk's logits at 2^26 elements

} // namespace fcc
