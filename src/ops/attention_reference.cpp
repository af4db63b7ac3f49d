// Attention by plain operators: every device and floating dtype, and what kernels are checked
// against. Scores of a whole block of cells exist at once.
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "ops/attention_backends.h"
#include "ops/attention_forms.h"
#include "ops/precision.h"

namespace fcc {
namespace {

/// [C, B, rows, heads, E] → [C, B, heads, rows, E] in the sum's dtype.
at::Tensor heads_first(const at::Tensor& x) {
  return x.to(accumulate_type(x.scalar_type())).transpose(2, 3);
}

/// Queries by group: [C, B, L, H, E] → [C, B, G, (H/G)·L, E].
at::Tensor grouped(const at::Tensor& x, std::int64_t groups) {
  const std::int64_t length = x.size(2), heads = x.size(3);
  return heads_first(x).reshape({x.size(0), x.size(1), groups, heads / groups * length, x.size(4)});
}

/// The inverse of `grouped`: back to [C, B, L, H, E].
at::Tensor ungrouped(const at::Tensor& x, std::int64_t length) {
  const std::int64_t heads = x.size(2) * x.size(3) / length;
  return x.reshape({x.size(0), x.size(1), heads, length, x.size(4)}).transpose(2, 3);
}

struct Keys {
  at::Tensor k, v;   ///< [C, B, G, M + L, E], memory first
  at::Tensor hidden; ///< [C or 1, B or 1, 1, 1, L, M + L] bool: not visible
  std::int64_t num_memory = 0;
};

Keys all_keys(const CellAttentionInput& input) {
  const std::int64_t cells = input.q.size(0), batch = input.q.size(1), length = input.q.size(2);
  const auto options = input.q.options().dtype(at::kBool);
  Keys keys;
  keys.k = heads_first(input.k);
  keys.v = heads_first(input.v);
  keys.hidden = at::ones({length, length}, options).triu(1).view({1, 1, 1, 1, length, length});
  if (!input.k_mem.defined()) {
    return keys;
  }
  keys.num_memory = input.k_mem.size(2);
  keys.k = at::cat({heads_first(input.k_mem), keys.k}, 3);
  keys.v = at::cat({heads_first(input.v_mem), keys.v}, 3);
  const at::Tensor absent = input.has_memory.defined()
                                ? input.has_memory.logical_not().view({cells, batch, 1, 1, 1, 1})
                                : at::zeros({1, 1, 1, 1, 1, 1}, options);
  const auto all = [&](const at::Tensor& part, std::int64_t columns) {
    return part.expand({absent.size(0), absent.size(1), 1, 1, length, columns});
  };
  keys.hidden = at::cat({all(absent, keys.num_memory), all(keys.hidden, length)}, 5);
  return keys;
}

/// Scaled scores [C, B, G, (H/G)·L, M + L], -inf where not visible.
at::Tensor masked_scores(const at::Tensor& q, const Keys& keys, std::int64_t length, double scale) {
  at::Tensor scores = at::matmul(q, keys.k.transpose(3, 4)).mul_(scale);
  scores.unflatten(3, {q.size(3) / length, length})
      .masked_fill_(keys.hidden, -std::numeric_limits<double>::infinity());
  return scores;
}

void put(at::Tensor target, const at::Tensor& value) {
  target.copy_(value);
}

class ReferenceAttention : public AttentionByCells {
 public:
  void forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse) const override;
  void backward(
      const CellAttentionInput& input,
      const at::Tensor& out,
      const at::Tensor& lse,
      const at::Tensor& grad_out,
      const CellAttentionGrads& grads) const override;
};

void ReferenceAttention::forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse)
    const {
  const std::int64_t length = input.q.size(2), groups = input.k.size(3);
  const Keys keys = all_keys(input);
  const at::Tensor scores =
      masked_scores(grouped(input.q, groups), keys, length, softmax_scale(input.q.size(4)));
  const at::Tensor row_lse = scores.logsumexp(4, /*keepdim=*/true);
  out.copy_(ungrouped(at::matmul(at::exp(scores - row_lse), keys.v), length));
  lse.copy_(row_lse.reshape(lse.sizes()));
}

void ReferenceAttention::backward(
    const CellAttentionInput& input,
    const at::Tensor& out,
    const at::Tensor& lse,
    const at::Tensor& grad_out,
    const CellAttentionGrads& grads) const {
  const std::int64_t length = input.q.size(2), groups = input.k.size(3);
  const double scale = softmax_scale(input.q.size(4));
  const Keys keys = all_keys(input);
  const at::Tensor q = grouped(input.q, groups), grad_o = grouped(grad_out, groups);
  const at::Tensor row_lse = lse.reshape({q.size(0), q.size(1), groups, q.size(3), 1});
  const at::Tensor p = at::exp(masked_scores(q, keys, length, scale) - row_lse);
  const at::Tensor delta = (grad_o * grouped(out, groups)).sum(-1, /*keepdim=*/true);
  const at::Tensor grad_scores =
      p.mul(at::matmul(grad_o, keys.v.transpose(3, 4)) - delta).mul_(scale);

  put(grads.q, ungrouped(at::matmul(grad_scores, keys.k), length));
  // [C, B, G, M + L, E] → [C, B, M + L, G, E]
  const at::Tensor grad_k = at::matmul(grad_scores.transpose(3, 4), q).transpose(2, 3);
  const at::Tensor grad_v = at::matmul(p.transpose(3, 4), grad_o).transpose(2, 3);
  put(grads.k, grad_k.slice(2, keys.num_memory));
  put(grads.v, grad_v.slice(2, keys.num_memory));
  if (keys.num_memory > 0) {
    put(grads.k_mem, grad_k.slice(2, 0, keys.num_memory));
    put(grads.v_mem, grad_v.slice(2, 0, keys.num_memory));
  }
}

} // namespace

AttentionEntry reference_attention() {
  return {
      .name = AttentionBackend::kReference,
      .automatic = true,
      .refusal = [](const AttentionUse&) -> std::optional<AttentionRefusal> { return {}; },
      .make = []() -> std::shared_ptr<const Attention> {
        return std::make_shared<ReferenceAttention>();
      }};
}

} // namespace fcc
