#include "fcc/ops/memory_attention_choice.h"

#include <array>
#include <utility>

#include "fcc/config/field.h"
#include "fcc/core/error.h"
#include "ops/cudnn_attention.h"
#include "ops/kernels.h"

namespace fcc {
namespace {

std::string capability_text(int capability) {
  std::string text = std::to_string(capability / 10);
  return text.append(".").append(std::to_string(capability % 10));
}

AttentionKernel kernel_of(AttentionBackend backend, const AttentionUse& use) {
  switch (backend) {
    case AttentionBackend::kFcc:
      return AttentionKernel::kFcc;
    case AttentionBackend::kFlash:
      return AttentionKernel::kFlash;
    case AttentionBackend::kCudnn:
      return AttentionKernel::kCudnn;
    case AttentionBackend::kReference:
      return AttentionKernel::kReference;
    case AttentionBackend::kAuto:
      break;
  }
  for (const AttentionKernel kernel : {AttentionKernel::kFcc, AttentionKernel::kFlash}) {
    if (!attention_refusal(kernel, use)) {
      return kernel;
    }
  }
  return AttentionKernel::kReference;
}

} // namespace

AttentionUse attention_use(c10::Device device, c10::ScalarType dtype, std::int64_t head_dim) {
  return {
      .device = device.type(),
      .dtype = dtype,
      .head_dim = head_dim,
      .compute_capability = kernel_ops::compute_capability(device),
      .build_has_gpu = kernel_ops::has_gpu_code()};
}

std::optional<AttentionRefusal> attention_refusal(AttentionKernel kernel, const AttentionUse& use) {
  if (kernel == AttentionKernel::kReference) {
    return std::nullopt;
  }
  if (use.device != c10::DeviceType::CUDA) {
    return AttentionRefusal{"needs a GPU", c10::DeviceTypeName(use.device, /*lower_case=*/true)};
  }
  if (!use.build_has_gpu) {
    return AttentionRefusal{"needs a build with GPU code", "FCC_CUDA was OFF"};
  }
  const bool own = kernel == AttentionKernel::kFcc;
  if (own ? use.compute_capability / 10 != 9 : use.compute_capability < 80) {
    return AttentionRefusal{
        own ? "needs a GPU of compute capability 9" : "needs compute capability 8.0 or later",
        capability_text(use.compute_capability)};
  }
  const bool bfloat = use.dtype == c10::ScalarType::BFloat16;
  if (!bfloat && (own || use.dtype != c10::ScalarType::Half)) {
    return AttentionRefusal{
        own ? "needs bfloat16" : "needs bfloat16 or float16", c10::toString(use.dtype)};
  }
  std::string width = "head_dim ";
  width += std::to_string(use.head_dim);
  if (kernel == AttentionKernel::kFlash) {
    if (use.head_dim > 256 || use.head_dim % 8 != 0) {
      return AttentionRefusal{"needs heads of at most 256, in multiples of 8", width};
    }
  } else if (use.head_dim != 64 && use.head_dim != 128) {
    return AttentionRefusal{"needs heads of 64 or 128", width};
  }
  return std::nullopt;
}

AttentionChoice::AttentionChoice(AttentionKernel chosen)
    : kernel(chosen),
      graphs(chosen == AttentionKernel::kCudnn ? cudnn_ops::make_graphs() : nullptr) {}

AttentionChoice choose_attention(AttentionBackend backend, const AttentionUse& use) {
  const AttentionKernel kernel = kernel_of(backend, use);
  if (const auto refusal = attention_refusal(kernel, use)) {
    std::string rule(enum_name(backend));
    rule.append(" ").append(refusal->rule);
    throw ConfigError("engine.attention", rule, refusal->value, "use auto or reference");
  }
  return kernel;
}

AttentionKernel best_attention_kernel(c10::Device device, c10::ScalarType dtype) {
  return device.is_cuda() && dtype == c10::ScalarType::BFloat16 ? AttentionKernel::kFlash
                                                                : AttentionKernel::kReference;
}

} // namespace fcc
