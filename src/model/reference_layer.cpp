#include "model/reference_layer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>

#include "fcc/ops/rms_norm.h"
#include "fcc/ops/swiglu.h"
#include "ops/shared_gradient.h"

namespace fcc {
namespace {

ReferenceLayer cut_layer(const ModelConfig& config, const StackWeights& stack, std::int64_t n) {
  const auto cut = [n](const at::Tensor& stacked) {
    return ReferenceWeight{stacked.defined() ? stacked.select(0, n) : at::Tensor(), {}};
  };
  const std::int64_t queries = config.num_attention_heads * config.head_dim;
  const at::Tensor qkv = stack.qkv_proj.select(0, n);
  return {
      stack.map<ReferenceWeight>(cut),
      /*input_layernorm=*/cut(stack.input_layernorm),
      /*q_proj=*/{qkv.narrow(0, 0, queries), {}},
      /*kv_proj=*/{qkv.narrow(0, queries, qkv.size(0) - queries), {}},
      /*o_proj=*/cut(stack.o_proj),
      /*post_attention_layernorm=*/cut(stack.post_attention_layernorm),
      /*gate_up_proj=*/cut(stack.gate_up_proj),
      /*down_proj=*/cut(stack.down_proj)};
}

} // namespace

at::Tensor ReferenceWeight::get() const {
  return master.defined() ? share_gradient(master, value) : value;
}

ReferenceWeights cut_layers(const ModelConfig& config, const ModelWeights& weights) {
  ReferenceWeights result;
  if (config.arch() == Architecture::kLocalGlobal) {
    for (std::int64_t n = 0; n < config.fcc->num_local_layers; ++n) {
      result.local.push_back(cut_layer(config, weights.local, n));
    }
  }
  for (std::int64_t n = 0; n < config.num_hidden_layers; ++n) {
    result.layers.push_back(cut_layer(config, weights.layers, n));
  }
  result.norm = {weights.norm, {}};
  result.memory_tokens = {weights.memory_tokens, {}};
  return result;
}

at::Tensor ReferenceMath::query(
    const ReferenceLayer& layer,
    const at::Tensor& a,
    const RopeTable& table) const {
  const at::Tensor q = at::linear(a, layer.q_proj.get()); // [B, l, H·E]
  return rope(q.view({q.size(0), q.size(1), config_.num_attention_heads, config_.head_dim}), table);
}

ReferenceMath::KeysValues ReferenceMath::keys_values(
    const ReferenceLayer& layer,
    const at::Tensor& c,
    const RopeTable& table) const {
  const std::int64_t G = config_.num_key_value_heads;
  const at::Tensor kv =
      at::linear(c, layer.kv_proj.get()).view({c.size(0), c.size(1), 2 * G, config_.head_dim});
  return {rope(kv.narrow(2, 0, G), table), kv.narrow(2, G, G)};
}

// Y = X + o·Wo, then Y + the gated MLP of rms_norm(Y).
at::Tensor
ReferenceMath::finish(const ReferenceLayer& layer, const at::Tensor& x, const at::Tensor& o) const {
  const at::Tensor y = x + at::linear(o.flatten(2), layer.o_proj.get());
  const at::Tensor z = rms_norm(y, layer.post_attention_layernorm.get(), config_.rms_norm_eps);
  return y + at::linear(swiglu(at::linear(z, layer.gate_up_proj.get())), layer.down_proj.get());
}

at::Tensor ReferenceMath::condensation_layer(
    const ReferenceLayer& layer,
    const at::Tensor& x,
    const at::Tensor& memory,
    const SegmentTables& tables) const {
  const at::Tensor a = rms_norm(x, layer.input_layernorm.get(), config_.rms_norm_eps);
  at::Tensor c = a; // [B, Lm + l, D]
  if (memory.defined()) {
    const at::Tensor weight =
        memory_norm_weight(policy_.norm(), layer.input_layernorm.get(), layer.memory_weights());
    const at::Tensor normed =
        weight.defined() ? rms_norm(memory, weight, config_.rms_norm_eps) : memory;
    c = at::cat({normed, a}, 1);
  }
  const std::int64_t num_memory = c.size(1) - a.size(1);
  const at::Tensor q = query(layer, a, tables.keys.slice(num_memory, a.size(1)));
  const KeysValues kv = keys_values(layer, c, tables.keys);
  return finish(layer, x, memory_attention(q, kv.k, kv.v, tables.mask, attention_));
}

ReferenceMath::HeadMemoryStep ReferenceMath::head_memory_layer(
    const ReferenceLayer& layer,
    const HeadMemoryStep& input,
    const SegmentTables& tables) const {
  const std::int64_t B = input.x.size(0), l = input.x.size(1);
  const std::int64_t G = config_.num_key_value_heads, E = config_.head_dim;
  const at::Tensor a = rms_norm(input.x, layer.input_layernorm.get(), config_.rms_norm_eps);
  const at::Tensor q =
      at::linear(a, layer.q_proj.get()).view({B, l, config_.num_attention_heads, E});
  const at::Tensor kv = at::linear(a, layer.kv_proj.get()).view({B, l, 2 * G, E});
  const at::Tensor k = kv.narrow(2, 0, G), v = kv.narrow(2, G, G);
  const at::Tensor attention = memory_attention(
      rope(q, tables.keys), rope(k, tables.keys), v, tables.mask, attention_); // [B, l, H, E]
  const HeadMemory::Step step = policy_.head_memory()->advance(
      attention, {.input = a, .q = q, .k = k, .v = v}, input.memory, layer.memory_weights());
  return {.memory = step.memory, .x = finish(layer, input.x, step.output)};
}

ReferenceMath::GlobalStep ReferenceMath::global_layer(
    const ReferenceLayer& layer,
    const GlobalStep& input,
    const SegmentTables& tables,
    bool evolve_memory) const {
  const at::Tensor h = input.memory.defined() ? at::cat({input.memory, input.x}, 1) : input.x;
  const at::Tensor c = rms_norm(h, layer.input_layernorm.get(), config_.rms_norm_eps);
  const std::int64_t length = input.x.size(1), num_memory = c.size(1) - length;
  const KeysValues kv = keys_values(layer, c, tables.keys);
  const at::Tensor q =
      query(layer, c.narrow(1, num_memory, length), tables.keys.slice(num_memory, length));
  GlobalStep output;
  output.x = finish(layer, input.x, memory_attention(q, kv.k, kv.v, tables.mask, attention_));
  if (num_memory > 0 && evolve_memory) {
    const at::Tensor q_memory =
        query(layer, c.narrow(1, 0, num_memory), tables.keys.slice(0, num_memory));
    const at::Tensor o = memory_attention(
        q_memory,
        kv.k.narrow(1, 0, num_memory),
        kv.v.narrow(1, 0, num_memory),
        tables.memory_mask,
        attention_);
    output.memory = finish(layer, input.memory, o);
  }
  return output;
}

at::Tensor ReferenceMath::final_norm(const ReferenceWeights& weights, const at::Tensor& x) const {
  return rms_norm(x, weights.norm.get(), config_.rms_norm_eps);
}

} // namespace fcc
