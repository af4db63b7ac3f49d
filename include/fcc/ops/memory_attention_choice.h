#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "fcc/config/attention_backend.h"
#include "fcc/ops/attention.h"

namespace fcc {

/// A backend by name: never `kAuto`.
using AttentionKernel = AttentionBackend;

/// What decides whether a backend can run.
struct AttentionUse {
  c10::DeviceType device = c10::DeviceType::CPU;
  c10::ScalarType dtype = c10::ScalarType::Float;
  std::int64_t head_dim = 0;
  int compute_capability = 0; ///< of the device, 90 for 9.0; 0 on a CPU
  bool build_has_gpu = false; ///< the library was built with its GPU code
  KernelSet kernels = KernelSet::kAuto;
};

/// The use of tensors on `device`, with what this build and machine have.
AttentionUse attention_use(
    c10::Device device,
    c10::ScalarType dtype,
    std::int64_t head_dim,
    KernelSet kernels = KernelSet::kAuto);

/// Why a backend cannot run: the rule, and the value that breaks it.
struct AttentionRefusal {
  std::string rule, value;
};

/// Nothing if the backend can run (docs/configuration.md lists what each needs). The shape plays no
/// part: queries and keys of any number are supported.
std::optional<AttentionRefusal> attention_refusal(
    AttentionBackend backend,
    const AttentionUse& use);

/// A backend with what it keeps from call to call, owned by whoever made the choice. Copies share
/// it; calls from several threads are safe. Only cuDNN keeps something: its graphs, each built at
/// the first call of its shape.
struct AttentionChoice {
  /// Implicit, so that a name can stand for a backend that keeps nothing.
  /// Errors: `Error` on kFcc and kCudnn in a build without GPU code.
  AttentionChoice(AttentionBackend backend); // NOLINT(google-explicit-constructor)

  AttentionBackend kernel;
  std::shared_ptr<const Attention> attention;
};

/// The backend that `engine.attention` comes down to. `auto`: the fastest that can run, which is
/// the first of fcc, flash and reference (docs/performance.md; cuDNN is for those who ask for it).
/// Errors: `ConfigError` that names the rule and the value where the backend, or the kernels that
/// `use` asks for, cannot run.
AttentionBackend supported_attention(AttentionBackend backend, const AttentionUse& use);

/// The same, ready to run.
AttentionChoice choose_attention(AttentionBackend backend, const AttentionUse& use);

/// The backend for a few queries over a cache of keys (generation): flash on a GPU in bfloat16,
/// else the reference.
AttentionBackend best_attention_kernel(c10::Device device, c10::ScalarType dtype);

} // namespace fcc
