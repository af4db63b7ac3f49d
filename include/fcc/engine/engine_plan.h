#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "fcc/config/run_config.h"

namespace fcc {

/// The reference execution, as it will run.
struct ReferencePlan {
  /// The kernel asked for; kAuto: the fastest that serves the tensors (`choose_attention`).
  AttentionBackend attention = AttentionBackend::kAuto;
  std::optional<std::int64_t> bptt_segments; ///< absent: gradient through all memory
};

/// The fused execution, as it will run.
struct FusedPlan {
  Schedule schedule = Schedule::kWavefront;
  std::optional<std::int64_t> chunk_segments; ///< at most so many a chunk; absent: all
  bool boundary_memory_on_host = false;       ///< on a GPU: pinned, between chunks
  bool cuda_graphs = true;                    ///< on a GPU: a chunk's launches are replayed
  std::optional<std::int64_t> bptt_segments;  ///< absent: gradient through all memory
};

/// How a model is run, chosen and checked: what the section `engine` comes down to (`plan_engine`,
/// engine_choice.h). Executors take their alternative and choose and refuse nothing more.
using EnginePlan = std::variant<ReferencePlan, FusedPlan>;

} // namespace fcc
