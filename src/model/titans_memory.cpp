// Titans, memory as a gate (Behrouz, Zhong and Mirrokni 2024, arXiv 2501.00663, section 4.2): a
// memory that learns as it reads, by gradient descent with momentum and forgetting, gates what the
// segment's attention puts out. The memory is linear and takes a step a token:
//
//   ℓ(M; x) = |M(k) - v|²                                an answer's loss
//   S_t = η_t S_{t-1} - θ_t ∇ℓ(M_{t-1}; x_t)             momentum
//   M_t = (1 - α_t) M_{t-1} + S_t                        forgetting
//   o_t = attention ⊗ M_t(q_t)                           the gate
//
// Both recurrences are linear, so a segment is a few products: with e_i = M_{i-1}(k_i) - v_i,
//
//   M_t = a_t M_0 + b_t S_0 - Σ_{i≤t} W_{ti} 2θ_i k_i e_iᵀ    W = A·H
//   A_{tl} = Π_{l<j≤t} (1 - α_j)    H_{li} = Π_{i<j≤l} η_j    a_t = A_{t0}    b_t = Σ_l A_{tl}
//   H_{l0}
//
// and the e_i solve a unit lower triangular system, each with those before it.
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>

#include "fcc/ops/rms_norm.h"
#include "model/head_memories.h"

namespace fcc {
namespace {

// Where the rates start, before the layer's input moves them: keep nearly all, step so that a key
// alone is learnt at once, little momentum.
constexpr double kForgetOffset = -5.0, kStepOffset = 0.0, kMomentumOffset = -2.0;

/// The paper's keys and queries: SiLU, then length 1 (section 4.4).
at::Tensor unit(const at::Tensor& x) {
  const at::Tensor y = at::silu(x);
  return y * (y.square().sum(-1, /*keepdim=*/true) + 1e-6).rsqrt();
}

/// Products of factors between two rows, from their logarithms [..., c]: [..., c, c], row t and
/// column l the product over l < j ≤ t; 0 above the diagonal.
at::Tensor products_between(const at::Tensor& logarithms) {
  const at::Tensor sums = logarithms.cumsum(-1); // [..., c]
  const at::Tensor above = at::ones({sums.size(-1), sums.size(-1)}, sums.options()).triu(1);
  return (sums.unsqueeze(-1) - sums.unsqueeze(-2))
      .masked_fill(above.to(at::kBool), -std::numeric_limits<double>::infinity())
      .exp();
}

/// Rows one down: row t is that of t - 1, and the first is zeros; dimension -2.
at::Tensor one_later(const at::Tensor& rows) {
  return at::constant_pad_nd(rows.narrow(-2, 0, rows.size(-2) - 1), {0, 0, 1, 0});
}

class TitansMemory : public HeadMemory {
 public:
  explicit TitansMemory(const ModelConfig& config)
      : H_(config.num_attention_heads),
        G_(config.num_key_value_heads),
        E_(config.head_dim),
        D_(config.hidden_size),
        eps_(config.rms_norm_eps) {}

  // For each key/value head M [E, E], keys by values, and below it S [E, E].
  Shape shape() const override {
    return {.rows = G_ * 2 * E_, .width = E_};
  }

  std::vector<MemoryWeightLayout> weights() const override {
    using Weights = MemoryWeights<at::Tensor>;
    return {
        {&Weights::attention_norm, "self_attn.attention_norm.weight", {E_}, 1.0},
        {&Weights::retrieval_norm, "self_attn.retrieval_norm.weight", {E_}, 1.0},
        {&Weights::memory_rates, "self_attn.memory_rates.weight", {3 * G_, D_}, 0.0}};
  }

  Step advance(
      const at::Tensor& attention,
      const HeadRows& rows,
      const at::Tensor& memory,
      const MemoryWeights<at::Tensor>& weights) const override {
    const std::int64_t B = attention.size(0), t = attention.size(1), c = rows.q.size(1);
    const at::Tensor packed = memory.view({B, G_, 2, E_, E_});
    const at::Tensor M = packed.select(2, 0), S = packed.select(2, 1); // [B, G, E, E]
    const auto wide = [&](const at::Tensor& x) { return x.to(memory.scalar_type()); };

    // Rates of each row and head, [B, G, c].
    const at::Tensor rates = at::linear(wide(rows.input), wide(weights.memory_rates))
                                 .view({B, c, 3, G_})
                                 .permute({2, 0, 3, 1});
    const at::Tensor forgetting = rates[0] + kForgetOffset, momentum = rates[2] + kMomentumOffset;
    const at::Tensor step = 2 * (rates[1] + kStepOffset).sigmoid(); // 2θ: the square's derivative

    const at::Tensor log_kept = at::log_sigmoid(-forgetting), log_eta = at::log_sigmoid(momentum);
    const at::Tensor A = products_between(log_kept), H = products_between(log_eta); // [B, G, c, c]
    const at::Tensor a = log_kept.cumsum(-1).exp().unsqueeze(-1);                   // [B, G, c, 1]
    const at::Tensor h = log_eta.cumsum(-1).exp().unsqueeze(-1);
    const at::Tensor b = at::matmul(A, h);
    const at::Tensor W = at::matmul(A, H);

    const at::Tensor k = unit(wide(rows.k)).transpose(1, 2);     // [B, G, c, E]
    const at::Tensor v = at::silu(wide(rows.v)).transpose(1, 2); // [B, G, c, E]
    const at::Tensor step_columns = step.unsqueeze(-2);          // [B, G, 1, c]

    // e_t = M_{t-1}(k_t) - v_t, where M_{t-1} holds the e before it.
    const at::Tensor before = at::constant_pad_nd(a.narrow(-2, 0, c - 1), {0, 0, 1, 0}, 1);
    const at::Tensor known = before * at::matmul(k, M) + one_later(b) * at::matmul(k, S) - v;
    const at::Tensor among = one_later(W) * step_columns * at::matmul(k, k.transpose(-1, -2));
    const at::Tensor e = at::linalg_solve_triangular(
        among, known, /*upper=*/false, /*left=*/true, /*unitriangular=*/true); // [B, G, c, E]

    // M_t(q_t) of the last t rows.
    const at::Tensor q = unit(wide(rows.q.narrow(1, c - t, t)))
                             .view({B, t, G_, H_ / G_, E_})
                             .permute({0, 2, 3, 1, 4}); // [B, G, H/G, t, E]
    const auto last = [&](const at::Tensor& x) { return x.narrow(-2, c - t, t).unsqueeze(2); };
    const at::Tensor scores =
        last(W * step_columns) * at::matmul(q, k.transpose(-1, -2).unsqueeze(2));
    const at::Tensor retrieved = last(a) * at::matmul(q, M.unsqueeze(2)) +
                                 last(b) * at::matmul(q, S.unsqueeze(2)) -
                                 at::matmul(scores, e.unsqueeze(2)); // [B, G, H/G, t, E]
    const at::Tensor gate = rms_norm(
        retrieved.permute({0, 3, 1, 2, 4}).reshape({B, t, H_, E_}),
        wide(weights.retrieval_norm),
        eps_);
    const at::Tensor output =
        rms_norm(wide(attention), wide(weights.attention_norm), eps_) * gate.sigmoid();

    const auto row = [&](const at::Tensor& x) { return x.narrow(-2, c - 1, 1); }; // [B, G, 1, ...]
    const auto written = [&](const at::Tensor& factors) { // Σ_i factors_i 2θ_i k_i e_iᵀ
      return at::matmul(
          (row(factors) * step_columns).transpose(-1, -2).mul(k).transpose(-1, -2), e);
    };
    const at::Tensor next_M = row(a) * M + row(b) * S - written(W);
    const at::Tensor next_S = row(h) * S - written(H);
    return {
        .output = output.to(attention.scalar_type()),
        .memory = at::stack({next_M, next_S}, 2).view({B, G_ * 2 * E_, E_})};
  }

 private:
  std::int64_t H_, G_, E_, D_;
  double eps_;
};

} // namespace

std::unique_ptr<const HeadMemory> make_titans_memory(const ModelConfig& config) {
  return std::make_unique<TitansMemory>(config);
}

} // namespace fcc
