#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <c10/core/Device.h>

#include "fcc/config/model_config.h"
#include "fcc/config/run_config.h"
#include "fcc/core/error.h"
#include "fcc/engine/engine_plan.h"
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
  std::int64_t num_all_layers = 0; ///< `EnginePlan::num_all_layers`
};

/// Why the fused execution cannot run this; empty: it can. The error names the key.
std::optional<ConfigError> fused_refusal(const EngineContext& context);

/// What `engine.execution` comes down to: `auto` is `fused` on a GPU, where fused takes the model
/// and the options (else `fused_refusal` says why not), and `reference` on a CPU. Never `kAuto`.
Execution choose_execution(const EngineSection& engine, const EngineContext& context);

/// Makes every choice that `engine` leaves open and that needs no sizes of steps: the execution,
/// the attention backend, the processor. Here stands what cannot be run, and nowhere else: a model
/// that `fused` does not support, keys of `fused` with `reference`, an attention backend or kernels
/// that the device lacks. With `activations: auto` and no `chunk_segments` a chunk is as long as
/// the sequence. Errors: `ConfigError`, also where `memory_gib` should decide how long chunks are:
/// `resolve_engine` knows the steps and comes first then.
EnginePlan plan_engine(const EngineSection& engine, const EngineContext& context);

/// Resolves everything that says `auto`: `execution`; with `fused` also `activations` (store, if
/// every one of `steps` fits in the budget as one chunk, else recompute) and, with recompute,
/// `chunk_segments` (the most that fit; at most 32 where recompute was asked for by name). The
/// budget is `memory_gib`, or else `available_bytes`. What results is what a run writes down, and
/// `plan_engine` takes it. Errors: as `plan_engine`, and `ConfigError` where a step fits in the
/// budget by no chunk, with the keys that help.
EngineSection resolve_engine(
    EngineSection engine,
    const EngineContext& context,
    const std::vector<StepShape>& steps,
    std::int64_t available_bytes);

/// The engine of a run that goes on: what `requested` leaves to `auto` is what it became before
/// (`saved`, resolved), or, where another execution is asked for by name, what a new run would have
/// (`resolved`). Errors: `ConfigError` where that cannot be had on this machine.
EngineSection resume_engine(
    EngineSection requested,
    const EngineSection& resolved,
    const EngineSection& saved,
    const EngineContext& context);

/// The refusal of a budget that a step does not fit in, with the keys that help.
ConfigError memory_refusal(std::int64_t needed_bytes, std::int64_t budget_bytes);

/// The share of free memory that a run plans for; the rest: other programs, and what no formula
/// counts.
inline constexpr double kPlannedShare = 0.9;

/// What a run may plan for: a GPU's free memory, or the machine's available memory, less a tenth.
/// Errors: `Error` where it cannot be read.
std::int64_t available_memory_bytes(c10::Device device);

} // namespace fcc
