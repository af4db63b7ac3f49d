// Infini-attention (Munkhdalai, Faruqui and Gopal 2024, arXiv 2404.07143): a linear memory with the
// delta rule beside the segment's attention, mixed by a gate of each head.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/elu.h>

#include "model/head_memories.h"

namespace fcc {
namespace {

/// σ of the paper: ELU + 1, positive everywhere.
at::Tensor feature(const at::Tensor& x) {
  return at::elu(x) + 1;
}

/// numerator / denominator, 0/0 = 0: a memory that nothing was written to gives nothing.
at::Tensor quotient(const at::Tensor& numerator, const at::Tensor& denominator) {
  return numerator / denominator.masked_fill(denominator == 0, 1).unsqueeze(-1);
}

class InfiniMemory : public HeadMemory {
 public:
  explicit InfiniMemory(const ModelConfig& config)
      : H_(config.num_attention_heads), G_(config.num_key_value_heads), E_(config.head_dim) {}

  // For each key/value head M [E, E], keys by values, and below it z [E].
  Shape shape() const override {
    return {.rows = G_ * (E_ + 1), .width = E_};
  }

  std::vector<MemoryWeightLayout> weights() const override {
    return {{&MemoryWeights<at::Tensor>::memory_gate, "self_attn.memory_gate", {H_}, 0.0}};
  }

  Step advance(
      const at::Tensor& attention,
      const HeadRows& rows,
      const at::Tensor& memory,
      const MemoryWeights<at::Tensor>& weights) const override {
    const std::int64_t B = attention.size(0), t = attention.size(1), c = rows.q.size(1);
    const at::Tensor packed = memory.view({B, G_, E_ + 1, E_});
    const at::Tensor M = packed.narrow(2, 0, E_),
                     z = packed.select(2, E_); // [B, G, E, E], [B, G, E]
    const auto wide = [&](const at::Tensor& x) { return x.to(memory.scalar_type()); };

    // Eq. 3: A_mem = σ(Q) M / σ(Q) z, of the segments before.
    const at::Tensor q = feature(wide(rows.q.narrow(1, c - t, t)).reshape({B, t, G_, H_ / G_, E_}));
    const at::Tensor retrieved =
        quotient(at::einsum("btgre,bgef->btgrf", {q, M}), at::einsum("btgre,bge->btgr", {q, z}));
    // Eq. 6: A = sigmoid(β) ⊙ A_mem + (1 - sigmoid(β)) ⊙ A_dot.
    const at::Tensor gate = wide(weights.memory_gate).sigmoid().unsqueeze(-1); // [H, 1]
    const at::Tensor output =
        gate * retrieved.reshape({B, t, H_, E_}) + (1 - gate) * wide(attention);

    // Eq. 4 and 5: M' = M + σ(K)ᵀ (V - σ(K) M / σ(K) z), z' = z + Σ σ(K).
    const at::Tensor k = feature(wide(rows.k)); // [B, c, G, E]
    const at::Tensor known =
        quotient(at::einsum("bcge,bgef->bcgf", {k, M}), at::einsum("bcge,bge->bcg", {k, z}));
    const at::Tensor next_M = M + at::einsum("bcge,bcgf->bgef", {k, wide(rows.v) - known});
    const at::Tensor next_z = z + k.sum(1);
    return {
        .output = output.to(attention.scalar_type()),
        .memory = at::cat({next_M, next_z.unsqueeze(2)}, 2).view({B, G_ * (E_ + 1), E_})};
  }

 private:
  std::int64_t H_, G_, E_;
};

} // namespace

std::unique_ptr<const HeadMemory> make_infini_memory(const ModelConfig& config) {
  return std::make_unique<InfiniMemory>(config);
}

} // namespace fcc
