// ATen's flash attention: every GPU of compute capability 8.0 or later.
#include <mutex>
#include <tuple>

#include <ATen/Context.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>

#include "fcc/core/error.h"
#include "ops/attention_backends.h"
#include "ops/attention_forms.h"

namespace fcc {
namespace {

/// While it lives, ATen's backward pass adds in a fixed order. ATen asks a setting of the whole
/// process: it is put back, and passes of other threads wait for it.
class FixedOrder {
 public:
  explicit FixedOrder(SumOrder order) {
    if (order == SumOrder::kAny) {
      return;
    }
    static std::mutex mutex;
    lock_ = std::unique_lock(mutex);
    at::Context& context = at::globalContext();
    was_on_ = context.deterministicAlgorithms();
    warned_ = context.deterministicAlgorithmsWarnOnly();
    filled_ = context.deterministicFillUninitializedMemory();
    context.setDeterministicFillUninitializedMemory(false);
    context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  }
  ~FixedOrder() {
    if (lock_.owns_lock()) {
      at::globalContext().setDeterministicAlgorithms(was_on_, warned_);
      at::globalContext().setDeterministicFillUninitializedMemory(filled_);
    }
  }
  FixedOrder(const FixedOrder&) = delete;
  FixedOrder& operator=(const FixedOrder&) = delete;

 private:
  std::unique_lock<std::mutex> lock_;
  bool was_on_ = false, warned_ = false, filled_ = false;
};

void check_rows(const at::Tensor& q, const at::Tensor& k, const AttentionRowOptions& options) {
  check(k.size(1) >= q.size(1), "attention flash", "keys must be at least as many as queries");
  check(
      options.visible == VisibleKeys::kCausal && !options.present.defined(),
      "attention flash",
      "has the causal mask alone, alike for all rows");
}

class FlashAttention : public AttentionByRows {
 public:
  AttentionForward forward_rows(
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionRowOptions& options) const override {
    check_rows(q, k, options);
    AttentionForward result;
    // With fewer queries than keys the kernel aligns the causal mask to the bottom right: figure 3.
    std::tie(result.out, result.lse, std::ignore, std::ignore, std::ignore) =
        at::_flash_attention_forward(
            readable(q),
            readable(k),
            readable(v),
            {},
            {},
            q.size(1),
            k.size(1),
            /*dropout_p=*/0.0,
            /*is_causal=*/true,
            /*return_debug_mask=*/false,
            softmax_scale(q.size(3)));
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
    const at::Tensor queries = readable(q), keys = readable(k), values = readable(v);
    const at::Tensor grad = readable(grad_out), out = readable(forward.out);
    const at::Tensor lse = forward.lse.contiguous();
    AttentionGradients result;
    const FixedOrder order(options.order);
    std::tie(result.q, result.k, result.v) = at::_flash_attention_backward(
        grad,
        queries,
        keys,
        values,
        out,
        lse,
        {},
        {},
        q.size(1),
        k.size(1),
        /*dropout_p=*/0.0,
        /*is_causal=*/true,
        /*rng_state=*/{}, // of the dropout, which there is none of
        /*unused=*/{},
        softmax_scale(q.size(3)));
    return result;
  }
};

std::optional<AttentionRefusal> flash_refusal(const AttentionUse& use) {
  if (const auto without = refusal_of_half_precision(use)) {
    return without;
  }
  if (use.head_dim > 256 || use.head_dim % 8 != 0) {
    return AttentionRefusal{"needs heads of at most 256, in multiples of 8", head_dim_text(use)};
  }
  return std::nullopt;
}

} // namespace

AttentionEntry flash_attention() {
  return {
      .name = AttentionBackend::kFlash,
      .automatic = true,
      .refusal = flash_refusal,
      .make = []() -> std::shared_ptr<const Attention> {
        return std::make_shared<FlashAttention>();
      }};
}

} // namespace fcc
