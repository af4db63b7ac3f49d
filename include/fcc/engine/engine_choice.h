#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <c10/core/Device.h>

#include "fcc/config/model_config.h"
#include "fcc/config/run_config.h"
#include "fcc/core/error.h"
#include "fcc/engine/memory_estimate.h"

namespace fcc {

/// The longest chunk where recomputing was asked for by name: long enough for full products.
inline constexpr std::int64_t kRecomputeChunkSegments = 32;

/// What decides how a run can be executed, besides the keys of `engine`.
struct EngineContext {
  const ModelConfig& model;
  c10::Device device;
  /// Documents of some data set begin inside a row and see no memory (`document_memory: reset`).
  bool documents_reset = false;
  OptimizerMemory optimizer = {}; ///< counted where chunks are made to fit
  /// What to plan for in place of `device`, which need not be at hand then.
  std::optional<Processor> planned = std::nullopt;
};

/// Why the fused execution cannot run this; empty: it can. The error names the key.
std::optional<ConfigError> fused_refusal(const EngineContext& context);

/// What `engine.execution` comes down to: `auto` is `fused` on a GPU, where fused takes the model
/// and the options (else `fused_refusal` says why not), and `reference` on a CPU. Never `kAuto`.
Execution choose_execution(const EngineSection& engine, const EngineContext& context);

/// Refuses by name what the execution would ignore or cannot do: the keys of `fused` that are not
/// at their defaults with `reference`, a model that `fused` does not support. `engine.execution`
/// must be resolved. Errors: `ConfigError`.
void check_engine_choice(const EngineSection& engine, const EngineContext& context);

/// Resolves everything that says `auto`: `execution`; with `fused` also `activations` (store, if
/// every one of `steps` fits in the budget as one chunk, else recompute) and, with recompute,
/// `chunk_segments` (the most that fit; at most 32 where recompute was asked for by name). The
/// budget is `memory_gib`, or else `available_bytes`. Errors: as `check_engine_choice`, and
/// `ConfigError` where `attention` or `kernels` cannot run on the device, and where a step fits in
/// the budget by no chunk, with the keys that help.
EngineSection resolve_engine(
    EngineSection engine,
    const EngineContext& context,
    const std::vector<StepShape>& steps,
    std::int64_t available_bytes);

/// The engine of a run that goes on: what `requested` leaves to `auto` is what it became before
/// (`saved`, resolved). Errors: `ConfigError` where that cannot be had on this machine.
EngineSection
resume_engine(EngineSection requested, const EngineSection& saved, const EngineContext& context);

/// What a step on this device runs on. Errors: `ConfigError` as `supported_attention`.
Processor processor_of(c10::Device device, const EngineSection& engine, const ModelConfig& model);

/// The refusal of a budget that a step does not fit in, with the keys that help.
ConfigError memory_refusal(std::int64_t needed_bytes, std::int64_t budget_bytes);

/// The share of free memory that a run plans for; the rest: other programs, and what no formula
/// counts.
inline constexpr double kPlannedShare = 0.9;

/// What a run may plan for: a GPU's free memory, or the machine's available memory, less a tenth.
/// Errors: `Error` where it cannot be read.
std::int64_t available_memory_bytes(c10::Device device);

} // namespace fcc
