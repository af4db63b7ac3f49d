#include "generate/cached_stack.h"

#include <algorithm>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>

#include "fcc/core/error.h"
#include "fcc/ops/rms_norm.h"
#include "fcc/ops/swiglu.h"

namespace fcc {

CachedStack::CachedStack(
    const ModelConfig& config,
    const StackWeights& weights,
    std::int64_t batch_size)
    : config_(config),
      policy_(config),
      weights_(weights),
      batch_size_(batch_size),
      kernel_(best_attention_kernel(weights.qkv_proj.device(), weights.qkv_proj.scalar_type())),
      caches_(static_cast<std::size_t>(weights.qkv_proj.size(0))) {}

void CachedStack::clear() {
  num_cached_ = 0;
  num_masked_ = 0;
  present_ = at::Tensor();
  head_caches_.clear();
}

CachedStack CachedStack::fork() const {
  CachedStack copy = *this;
  copy.capacity_ = num_cached_;
  for (Cache& cache : copy.caches_) {
    for (at::Tensor* tensor : {&cache.k, &cache.v}) {
      if (tensor->defined()) {
        *tensor = tensor->narrow(1, 0, num_cached_).clone();
      }
    }
  }
  return copy;
}

void CachedStack::reserve(std::int64_t num_rows) {
  if (num_rows <= capacity_) {
    return;
  }
  capacity_ = std::max(num_rows, 2 * capacity_);
  const std::vector<std::int64_t> shape{
      batch_size_, capacity_, config_.num_key_value_heads, config_.head_dim};
  for (Cache& cache : caches_) {
    for (at::Tensor* tensor : {&cache.k, &cache.v}) {
      at::Tensor larger = at::empty(shape, weights_.qkv_proj.options());
      if (num_cached_ > 0) {
        larger.narrow(1, 0, num_cached_).copy_(tensor->narrow(1, 0, num_cached_));
      }
      *tensor = larger;
    }
  }
}

void CachedStack::set_memory(const at::Tensor& memory, const RopeTable& table) {
  check(num_cached_ == 0, "CachedStack::set_memory", "the memory comes before all rows");
  const std::int64_t num_rows = memory.size(2);
  const std::int64_t G = config_.num_key_value_heads, E = config_.head_dim;
  const std::int64_t query_rows = config_.num_attention_heads * E;
  const at::Tensor norm_weight =
      memory_norm_weight(policy_.norm(), weights_.input_layernorm, weights_); // [N, D]
  reserve(num_rows);
  for (std::int64_t n = 0; n < static_cast<std::int64_t>(caches_.size()); ++n) {
    const at::Tensor m = norm_weight.defined()
                             ? rms_norm(memory[n], norm_weight[n], config_.rms_norm_eps)
                             : memory[n]; // [B, Lm, D]
    const at::Tensor kv = at::linear(m, weights_.qkv_proj[n].narrow(0, query_rows, 2 * G * E))
                              .view({batch_size_, num_rows, 2 * G, E});
    const at::Tensor k = kv.narrow(2, 0, G), v = kv.narrow(2, G, G); // [B, Lm, G, E]
    Cache& cache = caches_[static_cast<std::size_t>(n)];
    cache.k.narrow(1, 0, num_rows).copy_(rope(k, table));
    cache.v.narrow(1, 0, num_rows).copy_(v);
  }
  num_cached_ = num_rows;
}

void CachedStack::set_head_memory(const at::Tensor& memory) {
  check(num_cached_ == 0, "CachedStack::set_head_memory", "the memory comes before all rows");
  head_caches_.clear();
  for (const at::Tensor& of_layer : memory.unbind(0)) {
    head_caches_.push_back({.rows = {}, .memory = of_layer, .next_memory = of_layer});
  }
}

at::Tensor CachedStack::head_memory() const {
  std::vector<at::Tensor> memories;
  for (const HeadCache& cache : head_caches_) {
    memories.push_back(cache.next_memory);
  }
  return at::stack(memories);
}

void CachedStack::mask_cached(const at::Tensor& present) {
  num_masked_ = num_cached_;
  // Masks for rows that differ cost more: most states have a memory in every row.
  present_ = present.defined() && !present.all().item<bool>() ? present : at::Tensor();
}

AttentionMask CachedStack::make_mask(std::int64_t num_queries, const at::TensorOptions& options)
    const {
  if (!present_.defined()) {
    return make_attention_mask(num_queries, num_cached_, {}, kernel_, options);
  }
  if (kernel_ == AttentionKernel::kFlash) {
    // This kernel aligns the causal mask itself and needs only to know which keys to leave out.
    return make_attention_mask(num_queries, num_masked_, present_, kernel_, options);
  }
  // Rows of this segment that came before are seen by all: only the memory is hidden.
  AttentionMask mask = make_attention_mask(num_queries, num_cached_, {}, kernel_, options);
  mask.present = present_;
  mask.bias = mask.bias.repeat({batch_size_, 1, 1, 1}); // [B, 1, t, c]
  mask.bias.narrow(3, 0, num_masked_)
      .masked_fill_(
          present_.logical_not().view({batch_size_, 1, 1, 1}),
          -std::numeric_limits<double>::infinity());
  return mask;
}

at::Tensor
CachedStack::advance(const at::Tensor& x, const RopeTable& table, const LayerObserver& observer) {
  const std::int64_t B = batch_size_, t = x.size(1);
  const std::int64_t H = config_.num_attention_heads, G = config_.num_key_value_heads;
  const std::int64_t E = config_.head_dim;
  const double eps = config_.rms_norm_eps;
  const AttentionMask mask = make_mask(t, x.options());
  reserve(num_cached_ + t);
  const std::int64_t num_keys = num_cached_ + t;
  at::Tensor hidden = x; // X[n], [B, t, D]
  for (std::int64_t n = 0; n < static_cast<std::int64_t>(caches_.size()); ++n) {
    Cache& cache = caches_[static_cast<std::size_t>(n)];
    const at::Tensor a = rms_norm(hidden, weights_.input_layernorm[n], eps);
    const at::Tensor qkv =
        at::linear(a, weights_.qkv_proj[n]).view({B, t, H + 2 * G, E}); // queries, keys, values
    const at::Tensor rotated = rope(qkv.narrow(2, 0, H + G), table);    // [B, t, H + G, E]
    const at::Tensor q = rotated.narrow(2, 0, H).contiguous();          // [B, t, H, E]
    cache.k.narrow(1, num_cached_, t).copy_(rotated.narrow(2, H, G));
    cache.v.narrow(1, num_cached_, t).copy_(qkv.narrow(2, H + G, G));
    const at::Tensor k = cache.k.narrow(1, 0, num_keys), v = cache.v.narrow(1, 0, num_keys);
    at::Tensor o = memory_attention(q, k, v, mask, kernel_).view({B, t, H, E});
    if (!head_caches_.empty()) {
      HeadCache& heads = head_caches_[static_cast<std::size_t>(n)];
      heads.rows = heads.rows.joined(
          {.input = a,
           .q = qkv.narrow(2, 0, H),
           .k = qkv.narrow(2, H, G),
           .v = qkv.narrow(2, H + G, G)});
      const HeadMemory::Step step =
          policy_.head_memory()->advance(o, heads.rows, heads.memory, weights_.memory_of_layer(n));
      o = step.output;
      heads.next_memory = step.memory;
    }
    const at::Tensor y = hidden + at::linear(o.reshape({B, t, H * E}), weights_.o_proj[n]);
    const at::Tensor z = rms_norm(y, weights_.post_attention_layernorm[n], eps);
    const at::Tensor mlp =
        at::linear(swiglu(at::linear(z, weights_.gate_up_proj[n])), weights_.down_proj[n]);
    const at::Tensor output = y + mlp; // X[n+1]
    if (observer) {
      observer({.layer = n, .input = hidden, .output = output, .q = q, .k = k, .mask = mask});
    }
    hidden = output;
  }
  num_cached_ = num_keys;
  return hidden;
}

at::Tensor embed(const ModelWeights& weights, const at::Tensor& ids) {
  return at::embedding(weights.embed_tokens, ids);
}

} // namespace fcc
