#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "fcc/config/run_config.h"

namespace fcc {

enum class AttentionKernel {
  kReference, ///< plain softmax, any device and floating dtype; float32 inside for bfloat16
  kFlash,     ///< ATen's flash kernel: a GPU, bfloat16 or float16, E ≤ 256 in multiples of 8
  kCudnn,     ///< cuDNN's fused attention: a GPU, bfloat16 or float16, E 64 or 128
  kFcc        ///< the project's own (kernels/memory_attention): compute capability 9, bfloat16,
              ///< E 64 or 128
};

/// What decides whether a kernel can serve.
struct AttentionUse {
  c10::DeviceType device = c10::DeviceType::CPU;
  c10::ScalarType dtype = c10::ScalarType::Float;
  std::int64_t head_dim = 0;
  int compute_capability = 0; ///< of the device, 90 for 9.0; 0 on a CPU
  bool build_has_gpu = false; ///< the library was built with its GPU code
};

/// The use of tensors on `device`, with what this build and machine have.
AttentionUse attention_use(c10::Device device, c10::ScalarType dtype, std::int64_t head_dim);

/// Why a kernel cannot serve: the rule, and the value that breaks it.
struct AttentionRefusal {
  std::string rule, value;
};

/// Nothing if `kernel` serves. The shape plays no part: queries and keys of any number are served.
std::optional<AttentionRefusal> attention_refusal(AttentionKernel kernel, const AttentionUse& use);

class CudnnGraphs; // cuDNN's graphs, built once a shape: src/ops/cudnn_attention.h

/// A kernel with what it keeps from call to call, owned by whoever made the choice. Copies share
/// it; calls from several threads are safe. Only cuDNN keeps something: its graphs, each built at
/// the first call of its shape.
struct AttentionChoice {
  /// Implicit, so that a kernel that keeps nothing can stand for itself.
  /// Errors: `Error` on kCudnn in a build without GPU code.
  AttentionChoice(AttentionKernel kernel); // NOLINT(google-explicit-constructor)

  AttentionKernel kernel;
  std::shared_ptr<CudnnGraphs> graphs; ///< null but for kCudnn
};

/// The kernel that `engine.attention` asks for. `auto`: the fastest that serves, which is the
/// first of fcc, flash and reference (docs/performance.md; cuDNN is for those who ask for it).
/// Errors: `ConfigError` that names the rule and the value where the kernel cannot serve.
AttentionChoice choose_attention(AttentionBackend backend, const AttentionUse& use);

/// The best kernel for a few queries over a cache of keys (generation): flash on a GPU in bfloat16,
/// else the reference.
AttentionKernel best_attention_kernel(c10::Device device, c10::ScalarType dtype);

} // namespace fcc
