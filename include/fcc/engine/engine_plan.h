#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include <c10/core/Device.h>
#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include "fcc/config/attention_backend.h"
#include "fcc/config/run_config.h"

namespace fcc {

/// What a step runs on: the operators' scratch memory depends on it.
enum class Processor {
  kCpu,
  kGpu,                ///< plain operators
  kGpuWithKernels,     ///< the project's kernels, where the dtype is bfloat16; attention too
  kGpuJoinedAttention, ///< the same, with attention that wants memory and current keys in one
                       ///< tensor
  kGpuPlainAttention   ///< the same, with attention by plain operators
};

/// Rows that one weight product should cover at least: below some 4,096 it is bound by reading and
/// writing the gradient (docs/performance.md).
inline constexpr std::int64_t kWeightProductRows = 8192;

/// How a model is run, with every choice made: what `EngineSection` leaves to `auto` is decided
/// here once, by `plan_engine` (engine_choice.h), which also refuses what cannot be run. Executors
/// and estimates take it as it is and ask nothing again.
struct EnginePlan {
  static constexpr std::int64_t kWholeSequence = std::numeric_limits<std::int64_t>::max();

  Execution execution = Execution::kReference;               ///< never `kAuto`
  c10::Device device = c10::Device(c10::kCPU);               ///< of weights and batches
  c10::ScalarType dtype = c10::ScalarType::Float;            ///< of the weights that compute
  AttentionBackend attention = AttentionBackend::kReference; ///< never `kAuto`
  Processor processor = Processor::kCpu;
  std::optional<std::int64_t> bptt_segments; ///< none: the gradient goes through all memory

  // Of the fused execution alone:
  Schedule schedule = Schedule::kWavefront;
  std::int64_t chunk_segments = kWholeSequence; ///< the most segments of a chunk
  std::int64_t weight_product_rows = kWeightProductRows;
  bool boundary_memory_on_host = false; ///< memory between chunks waits in pinned host memory
  bool cuda_graphs = true;              ///< on a GPU: a chunk's launches are recorded and replayed
  std::int64_t num_all_layers = 0;      ///< of a stage's model: layers of all stages; 0: no stage
};

} // namespace fcc
