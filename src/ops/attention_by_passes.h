#pragma once

#include <ATen/core/Tensor.h>

#include "fcc/ops/memory_attention_choice.h"

namespace fcc {

/// `Attention::forward_rows` and its backward pass as one differentiable operator (autograd.cpp).
at::Tensor attention_by_passes( // [B, L, H, E]
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionChoice& choice,
    const at::Tensor& present); // [B] bool or undefined: where the backend supports it

} // namespace fcc
