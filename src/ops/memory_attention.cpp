#include "fcc/ops/memory_attention.h"

#include <cmath>
#include <limits>
#include <string>

#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

double softmax_scale(const at::Tensor& q) {
  return 1.0 / std::sqrt(static_cast<double>(q.size(3)));
}

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
  const at::Tensor scores = at::baddbmm(bias, queries, keys, 1, softmax_scale(q));
  const at::Tensor outputs = at::bmm(scores.softmax(-1), values); // [B·G, R·L, E]
  return outputs.view({B, G, R, L, E}).permute({0, 3, 1, 2, 4}).reshape({B, L, H, E});
}

at::Tensor flash_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  // With fewer queries than keys the kernel aligns the causal mask to the bottom right: figure 3.
  return std::get<0>(at::_flash_attention_forward(
      q,
      k,
      v,
      {},
      {},
      q.size(1),
      k.size(1),
      /*dropout_p=*/0.0,
      /*is_causal=*/true,
      /*return_debug_mask=*/false,
      softmax_scale(q)));
}

at::Tensor flash_attention_by_rows(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionMask& mask) {
  if (!mask.present.defined() || mask.num_memory == 0) {
    return flash_attention(q, k, v);
  }
  const auto own = [&](const at::Tensor& t) { // keys of the segment itself, rows without memory
    return t.narrow(1, mask.num_memory, t.size(1) - mask.num_memory)
        .index_select(0, mask.absent_rows);
  };
  const at::Tensor absent = flash_attention(q.index_select(0, mask.absent_rows), own(k), own(v));
  at::Tensor result = at::zeros(q.sizes(), q.options()).index_copy(0, mask.absent_rows, absent);
  if (mask.present_rows.size(0) > 0) {
    const at::Tensor& rows = mask.present_rows;
    result = result.index_copy(
        0,
        rows,
        flash_attention(q.index_select(0, rows), k.index_select(0, rows), v.index_select(0, rows)));
  }
  return result;
}

} // namespace

AttentionKernel best_attention_kernel(at::Device device, at::ScalarType dtype) {
  return device.is_cuda() && dtype == at::kBFloat16 ? AttentionKernel::kFlash
                                                    : AttentionKernel::kReference;
}

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
  if (kernel == AttentionKernel::kFlash) {
    return mask;
  }
  const bool low_precision = options.dtype() == at::kBFloat16 || options.dtype() == at::kHalf;
  const at::TensorOptions floating =
      low_precision ? options.dtype(at::kFloat) : options; // as the scores
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
    AttentionKernel kernel) {
  const bool low_precision = q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf;
  if (kernel == AttentionKernel::kReference) {
    if (low_precision) {
      return reference_attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), mask)
          .to(q.scalar_type());
    }
    return reference_attention(q, k, v, mask);
  }
  if (!q.is_cuda() || !low_precision || q.size(3) > 256) {
    throw Error(
        "memory_attention",
        "the flash kernel needs bfloat16 or float16 on CUDA and heads of at most 256",
        std::string(q.toString()) + ", head_dim " + std::to_string(q.size(3)),
        "set engine.attention to \"auto\" or \"reference\"");
  }
  return flash_attention_by_rows(q, k, v, mask);
}

} // namespace fcc
