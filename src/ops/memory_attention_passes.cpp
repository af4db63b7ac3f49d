#include "fcc/ops/memory_attention_passes.h"

#include <cmath>
#include <cstdint>
#include <tuple>

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "fcc/core/error.h"
#include "fcc/ops/cell_attention.h"
#include "ops/cudnn_attention.h"
#include "ops/precision.h"

namespace fcc {
namespace {

double softmax_scale(const at::Tensor& q) {
  return 1.0 / std::sqrt(static_cast<double>(q.size(3)));
}

/// As it is where kernels can read it: rows of whole elements, other strides and the start in
/// steps of 16 bytes. A gradient may come expanded or from any view.
at::Tensor readable(const at::Tensor& x) {
  const std::int64_t step = 16 / static_cast<std::int64_t>(x.element_size());
  bool fits = x.stride(3) == 1 && reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0;
  for (int d = 0; d < 3; ++d) {
    fits = fits && (x.size(d) == 1 || (x.stride(d) > 0 && x.stride(d) % step == 0));
  }
  return fits ? x : x.contiguous();
}

/// The rows as one cell's; the keys before the segment's own are its memory.
CellAttentionInput
cell_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& present) {
  const std::int64_t length = q.size(1), num_memory = k.size(1) - length;
  CellAttentionInput cell;
  cell.q = q.unsqueeze(0);
  cell.k = k.narrow(1, num_memory, length).unsqueeze(0);
  cell.v = v.narrow(1, num_memory, length).unsqueeze(0);
  if (num_memory > 0) {
    cell.k_mem = k.narrow(1, 0, num_memory).unsqueeze(0);
    cell.v_mem = v.narrow(1, 0, num_memory).unsqueeze(0);
    cell.has_memory = present.defined() ? present.unsqueeze(0) : at::Tensor();
  }
  return cell;
}

void check_inputs(
    const at::Tensor& q,
    const at::Tensor& k,
    const AttentionChoice& choice,
    const AttentionPassOptions& options) {
  const char* where = "memory_attention_passes";
  const bool cudnn = choice.kernel == AttentionKernel::kCudnn;
  check(choice.kernel != AttentionKernel::kReference, where, "the reference is left to autograd");
  check(k.size(1) >= q.size(1), where, "keys must be at least as many as queries");
  check(
      cudnn || options.visible == VisibleKeys::kCausal,
      where,
      "only cuDNN serves attention without a mask");
  check(
      choice.kernel == AttentionKernel::kFcc || !options.present.defined(),
      where,
      "only the project's own kernel takes rows with and without memory in one launch");
}

} // namespace

AttentionForward memory_attention_forward(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionChoice& choice,
    const AttentionPassOptions& options) {
  check_inputs(q, k, choice, options);
  const at::Tensor queries = readable(q), keys = readable(k), values = readable(v);
  AttentionForward result;
  if (choice.kernel == AttentionKernel::kFlash) {
    // With fewer queries than keys the kernel aligns the causal mask to the bottom right: figure 3.
    std::tie(result.out, result.lse, result.rng_state, result.rng_unused, std::ignore) =
        at::_flash_attention_forward(
            queries,
            keys,
            values,
            {},
            {},
            q.size(1),
            k.size(1),
            /*dropout_p=*/0.0,
            /*is_causal=*/true,
            /*return_debug_mask=*/false,
            softmax_scale(q));
    return result;
  }
  result.out = at::empty(q.sizes(), q.options());
  result.lse =
      at::empty({q.size(0), q.size(2), q.size(1)}, q.options().dtype(wide_type(q.scalar_type())));
  if (choice.kernel == AttentionKernel::kCudnn) {
    cudnn_ops::forward(
        *choice.graphs, queries, keys, values, options.visible, result.out, result.lse);
  } else {
    cell_attention_forward(
        cell_of(queries, keys, values, options.present),
        result.out.unsqueeze(0),
        result.lse.unsqueeze(0));
  }
  return result;
}

AttentionGradients memory_attention_backward(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionForward& forward,
    const at::Tensor& grad_out,
    const AttentionChoice& choice,
    const AttentionPassOptions& options) {
  check_inputs(q, k, choice, options);
  const at::Tensor queries = readable(q), keys = readable(k), values = readable(v);
  const at::Tensor grad = readable(grad_out);
  AttentionGradients result;
  if (choice.kernel == AttentionKernel::kFlash) {
    std::tie(result.q, result.k, result.v) = at::_flash_attention_backward(
        grad,
        queries,
        keys,
        values,
        forward.out,
        forward.lse,
        {},
        {},
        q.size(1),
        k.size(1),
        /*dropout_p=*/0.0,
        /*is_causal=*/true,
        forward.rng_state,
        forward.rng_unused,
        softmax_scale(q));
    return result;
  }
  result.q = at::empty(q.sizes(), q.options());
  result.k = at::empty(k.sizes(), k.options());
  result.v = at::empty(v.sizes(), v.options());
  if (choice.kernel == AttentionKernel::kCudnn) {
    cudnn_ops::backward(
        *choice.graphs,
        queries,
        keys,
        values,
        forward,
        grad,
        options.visible,
        options.order,
        result);
    return result;
  }
  const CellAttentionInput grads = cell_of(result.q, result.k, result.v, {});
  cell_attention_backward(
      cell_of(queries, keys, values, options.present),
      forward.out.unsqueeze(0),
      forward.lse.unsqueeze(0),
      grad.unsqueeze(0),
      {.q = grads.q, .k = grads.k, .v = grads.v, .k_mem = grads.k_mem, .v_mem = grads.v_mem});
  return result;
}

} // namespace fcc
