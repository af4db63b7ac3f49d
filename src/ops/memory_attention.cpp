#include "fcc/ops/memory_attention.h"

#include <limits>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"
#include "ops/attention_by_passes.h"
#include "ops/attention_forms.h"
#include "ops/precision.h"

namespace fcc {
namespace {

// The grouped heads of one key head are stacked along the queries, so that no key is repeated.
at::Tensor reference_attention(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionMask& mask) {
  const std::int64_t B = q.size(0), L = q.size(1), H = q.size(2), E = q.size(3);
  const std::int64_t num_keys = k.size(1), G = k.size(2), R = H / G;
  const at::Tensor queries =
      q.view({B, L, G, R, E}).permute({0, 2, 3, 1, 4}).reshape({B * G, R * L, E});
  const at::Tensor keys = k.permute({0, 2, 3, 1}).reshape({B * G, E, num_keys});
  const at::Tensor values = v.transpose(1, 2).reshape({B * G, num_keys, E});
  at::Tensor bias; // [B·G, R·L, keys], a view where it can be
  if (mask.bias.dim() == 2) {
    bias = R == 1 ? mask.bias : mask.bias.repeat({R, 1});
  } else {
    bias = mask.bias.unsqueeze(1).expand({B, G, R, L, num_keys}).reshape({B * G, R * L, num_keys});
  }
  const at::Tensor scores = at::baddbmm(bias, queries, keys, 1, softmax_scale(q.size(3)));
  const at::Tensor outputs = at::bmm(scores.softmax(-1), values); // [B·G, R·L, E]
  return outputs.view({B, G, R, L, E}).permute({0, 3, 1, 2, 4}).reshape({B, L, H, E});
}

/// `attend(q, k, v)` over rows that all see the memory, or over the others without it.
template <typename Attend>
at::Tensor attend_by_rows(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionMask& mask,
    const Attend& attend) {
  if (!mask.present.defined() || mask.num_memory == 0) {
    return attend(q, k, v);
  }
  const auto own = [&](const at::Tensor& t) { // keys of the segment itself, rows without memory
    return t.narrow(1, mask.num_memory, t.size(1) - mask.num_memory)
        .index_select(0, mask.absent_rows);
  };
  const at::Tensor absent = attend(q.index_select(0, mask.absent_rows), own(k), own(v));
  at::Tensor result = at::zeros(q.sizes(), q.options()).index_copy(0, mask.absent_rows, absent);
  if (mask.present_rows.size(0) > 0) {
    const at::Tensor& rows = mask.present_rows;
    result = result.index_copy(
        0, rows, attend(q.index_select(0, rows), k.index_select(0, rows), v.index_select(0, rows)));
  }
  return result;
}

} // namespace

AttentionMask make_attention_mask(
    std::int64_t num_queries,
    std::int64_t num_memory,
    const at::Tensor& present,
    AttentionKernel kernel,
    const at::TensorOptions& options) {
  AttentionMask mask;
  mask.num_memory = num_memory;
  if (present.defined() && num_memory > 0) {
    mask.present = present;
    mask.present_rows = present.nonzero().squeeze(1);
    mask.absent_rows = present.logical_not().nonzero().squeeze(1);
  }
  if (kernel != AttentionKernel::kReference) {
    return mask; // the kernels align it themselves
  }
  const at::TensorOptions floating =
      options.dtype(accumulate_type(c10::typeMetaToScalarType(options.dtype()))); // as the scores
  const double hidden = -std::numeric_limits<double>::infinity();
  mask.bias =
      at::full({num_queries, num_memory + num_queries}, hidden, floating).triu(num_memory + 1);
  if (mask.present.defined()) {
    const std::int64_t B = present.size(0);
    at::Tensor bias = mask.bias.repeat({B, 1, 1, 1}); // [B, 1, L, Lm + L]
    bias.narrow(3, 0, num_memory).masked_fill_(present.logical_not().view({B, 1, 1, 1}), hidden);
    mask.bias = bias;
  }
  return mask;
}

at::Tensor memory_attention(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionMask& mask,
    const AttentionChoice& choice) {
  const bool low_precision = q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf;
  if (choice.kernel == AttentionKernel::kReference) {
    if (low_precision) {
      return reference_attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), mask)
          .to(q.scalar_type());
    }
    return reference_attention(q, k, v, mask);
  }
  const auto refusal =
      attention_refusal(choice.kernel, attention_use(q.device(), q.scalar_type(), q.size(3)));
  if (refusal) {
    throw Error(
        "memory_attention",
        "the chosen kernel " + refusal->rule,
        refusal->value,
        "set engine.attention to \"auto\" or \"reference\"");
  }
  const auto attend = [&](const at::Tensor& q_,
                          const at::Tensor& k_,
                          const at::Tensor& v_,
                          const at::Tensor& present) {
    if (!at::GradMode::is_enabled()) {
      return choice.attention->forward_rows(q_, k_, v_, {.present = present}).out;
    }
    return attention_by_passes(q_, k_, v_, choice, present);
  };
  if (choice.attention->supports_present()) {
    return attend(q, k, v, mask.num_memory > 0 ? mask.present : at::Tensor());
  }
  return attend_by_rows(q, k, v, mask, [&](const auto& q_, const auto& k_, const auto& v_) {
    return attend(q_, k_, v_, {});
  });
}

} // namespace fcc
