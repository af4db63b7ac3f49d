// The project's own attention kernels (kernels/memory_attention).
#include "fcc/core/error.h"
#include "ops/attention_backends.h"
#include "ops/attention_forms.h"
#include "ops/kernels.h"

namespace fcc {
namespace {

class FccAttention : public AttentionByCells {
 public:
  void forward(const CellAttentionInput& input, at::Tensor out, at::Tensor lse) const override {
    kernel_ops::attention_forward(input, out, lse);
  }
  void backward(
      const CellAttentionInput& input,
      const at::Tensor& out,
      const at::Tensor& lse,
      const at::Tensor& grad_out,
      const CellAttentionGrads& grads) const override {
    kernel_ops::attention_backward(input, out, lse, grad_out, grads);
  }
};

std::optional<AttentionRefusal> fcc_refusal(const AttentionUse& use) {
  if (const auto without = refusal_without_gpu(use)) {
    return without;
  }
  if (use.compute_capability / 10 != 9) {
    return AttentionRefusal{
        "needs a GPU of compute capability 9", capability_text(use.compute_capability)};
  }
  if (use.kernels == KernelSet::kPortable) {
    return AttentionRefusal{"needs kernels for compute capability 9", "engine.kernels portable"};
  }
  if (use.dtype != c10::ScalarType::BFloat16) {
    return AttentionRefusal{"needs bfloat16", c10::toString(use.dtype)};
  }
  if (use.head_dim != 64 && use.head_dim != 128) {
    return AttentionRefusal{"needs heads of 64 or 128", head_dim_text(use)};
  }
  return std::nullopt;
}

} // namespace

AttentionEntry fcc_attention() {
  return {
      .name = AttentionBackend::kFcc,
      .automatic = true,
      .refusal = fcc_refusal,
      .make = []() -> std::shared_ptr<const Attention> {
        check(kernel_ops::has_gpu_code(), "attention fcc", "needs a build with GPU code");
        return std::make_shared<FccAttention>();
      }};
}

} // namespace fcc
