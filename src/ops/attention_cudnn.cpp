// cuDNN's fused attention: its graphs are in src/ops/cuda/cudnn_attention.cpp.
#include <ATen/ops/empty.h>

#include "fcc/core/error.h"
#include "ops/attention_backends.h"
#include "ops/attention_forms.h"
#include "ops/cudnn_attention.h"

namespace fcc {
namespace {

void check_rows(const at::Tensor& q, const at::Tensor& k, const AttentionRowOptions& options) {
  check(k.size(1) >= q.size(1), "attention cudnn", "keys must be at least as many as queries");
  check(!options.present.defined(), "attention cudnn", "has one mask, alike for all rows");
}

class CudnnAttention : public AttentionByRows {
 public:
  AttentionForward forward_rows(
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionRowOptions& options) const override {
    check_rows(q, k, options);
    AttentionForward result;
    result.out = at::empty(q.sizes(), q.options());
    result.lse = at::empty({q.size(0), q.size(2), q.size(1)}, q.options().dtype(at::kFloat));
    cudnn_ops::forward(
        *graphs_, readable(q), readable(k), readable(v), options.visible, result.out, result.lse);
    return result;
  }

  AttentionGradients backward_rows(
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionForward& forward,
      const at::Tensor& grad_out,
      const AttentionRowOptions& options) const override {
    check_rows(q, k, options);
    const AttentionGradients result{
        at::empty(q.sizes(), q.options()),
        at::empty(k.sizes(), k.options()),
        at::empty(v.sizes(), v.options())};
    cudnn_ops::backward(
        *graphs_,
        readable(q),
        readable(k),
        readable(v),
        {readable(forward.out), forward.lse.contiguous()},
        readable(grad_out),
        options.visible,
        options.order,
        result);
    return result;
  }

 private:
  std::shared_ptr<CudnnGraphs> graphs_ = cudnn_ops::make_graphs(); ///< each built at its first use
};

std::optional<AttentionRefusal> cudnn_refusal(const AttentionUse& use) {
  if (const auto without = refusal_of_half_precision(use)) {
    return without;
  }
  if (use.head_dim != 64 && use.head_dim != 128) {
    return AttentionRefusal{"needs heads of 64 or 128", head_dim_text(use)};
  }
  return std::nullopt;
}

} // namespace

AttentionEntry cudnn_attention() {
  return {
      .name = AttentionBackend::kCudnn,
      .automatic = false, // docs/performance.md: for those who ask for it
      .refusal = cudnn_refusal,
      .make = []() -> std::shared_ptr<const Attention> {
        return std::make_shared<CudnnAttention>();
      }};
}

} // namespace fcc
