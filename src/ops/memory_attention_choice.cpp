#include "fcc/ops/memory_attention_choice.h"

#include "fcc/core/error.h"
#include "ops/attention_backends.h"
#include "ops/kernels.h"

namespace fcc {
namespace {

AttentionEntry entry_of(AttentionBackend backend) {
  for (const auto& entry : kAttentionBackends) {
    if (entry().name == backend) {
      return entry();
    }
  }
  throw Error("attention", "must be a backend by name", std::string(enum_name(backend)));
}

AttentionBackend first_supported(const AttentionUse& use) {
  for (const auto& make_entry : kAttentionBackends) {
    const AttentionEntry entry = make_entry();
    if (entry.automatic && !entry.refusal(use)) {
      return entry.name;
    }
  }
  return AttentionBackend::kReference;
}

} // namespace

std::string capability_text(int capability) {
  std::string text = std::to_string(capability / 10);
  return text.append(".").append(std::to_string(capability % 10));
}

std::string head_dim_text(const AttentionUse& use) {
  std::string text = "head_dim ";
  return text += std::to_string(use.head_dim);
}

std::optional<AttentionRefusal> refusal_without_gpu(const AttentionUse& use) {
  if (use.device != c10::DeviceType::CUDA) {
    return AttentionRefusal{"needs a GPU", c10::DeviceTypeName(use.device, /*lower_case=*/true)};
  }
  if (!use.build_has_gpu) {
    return AttentionRefusal{"needs a build with GPU code", "FCC_CUDA was OFF"};
  }
  return std::nullopt;
}

std::optional<AttentionRefusal> refusal_of_half_precision(const AttentionUse& use) {
  if (const auto without = refusal_without_gpu(use)) {
    return without;
  }
  if (use.compute_capability < 80) {
    return AttentionRefusal{
        "needs compute capability 8.0 or later", capability_text(use.compute_capability)};
  }
  if (use.dtype != c10::ScalarType::BFloat16 && use.dtype != c10::ScalarType::Half) {
    return AttentionRefusal{"needs bfloat16 or float16", c10::toString(use.dtype)};
  }
  return std::nullopt;
}

AttentionUse
attention_use(c10::Device device, c10::ScalarType dtype, std::int64_t head_dim, KernelSet kernels) {
  return {
      .device = device.type(),
      .dtype = dtype,
      .head_dim = head_dim,
      .compute_capability = kernel_ops::compute_capability(device),
      .build_has_gpu = kernel_ops::has_gpu_code(),
      .kernels = kernels};
}

std::optional<AttentionRefusal> attention_refusal(
    AttentionBackend backend,
    const AttentionUse& use) {
  return entry_of(backend).refusal(use);
}

AttentionChoice::AttentionChoice(AttentionBackend chosen)
    : kernel(chosen), attention(entry_of(chosen).make()) {}

AttentionBackend supported_attention(AttentionBackend backend, const AttentionUse& use) {
  if (use.kernels == KernelSet::kHopper) {
    if (const auto refusal = attention_refusal(AttentionBackend::kFcc, use)) {
      throw ConfigError(
          "engine.kernels", "`hopper` " + refusal->rule, refusal->value, "use auto or portable");
    }
    if (backend != AttentionBackend::kAuto && backend != AttentionBackend::kFcc) {
      throw ConfigError(
          "engine.attention",
          "must be fcc or auto with the kernels `hopper`",
          std::string(enum_name(backend)),
          "use engine.kernels auto");
    }
  }
  const AttentionBackend chosen =
      backend == AttentionBackend::kAuto ? first_supported(use) : backend;
  if (const auto refusal = attention_refusal(chosen, use)) {
    std::string rule(enum_name(backend));
    rule.append(" ").append(refusal->rule);
    throw ConfigError("engine.attention", rule, refusal->value, "use auto or reference");
  }
  return chosen;
}

AttentionChoice choose_attention(AttentionBackend backend, const AttentionUse& use) {
  return supported_attention(backend, use);
}

AttentionBackend best_attention_kernel(c10::Device device, c10::ScalarType dtype) {
  return device.is_cuda() && dtype == c10::ScalarType::BFloat16 ? AttentionBackend::kFlash
                                                                : AttentionBackend::kReference;
}

} // namespace fcc
