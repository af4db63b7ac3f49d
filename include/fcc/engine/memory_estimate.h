#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fcc/config/model_config.h"
#include "fcc/engine/engine_plan.h"

namespace fcc {

/// The sizes of one micro-batch.
struct StepShape {
  std::int64_t batch = 1;               ///< B
  std::int64_t num_segments = 1;        ///< with gradient
  std::int64_t num_prefix_segments = 0; ///< before them, forward only
  std::int64_t segment_length = 1;      ///< L, tokens
};

/// A part of the memory that a step takes.
struct MemoryItem {
  std::string name;
  std::int64_t bytes = 0;
};

/// What the optimizer takes of the device's memory, as it says itself; none: nothing.
struct OptimizerMemory {
  std::vector<MemoryItem> states;
  std::int64_t scratch_bytes = 0; ///< temporaries of an update
};

/// Everything that is allocated on the device at the fullest moment of a training step.
struct MemoryEstimate {
  std::vector<MemoryItem> items;

  std::int64_t total_bytes() const;
};

/// What a step of the plan's execution takes: what lives from step to step, the buffers, and the
/// fullest of the moments that need scratch memory (head, a diagonal's backward pass, weight
/// products, the embedding's gradient).
///
/// Of `fused`, the buffers are those that a chunk lays out, by the same code (`Chunk::layout`);
/// operators' scratch memory is by formula, tested against a counting allocator on the CPU. On a
/// GPU the allocator rounds and keeps free blocks, which comes on top. Of `reference`, where
/// autograd keeps every operator's inputs, activations are counted by kinds, about.
MemoryEstimate estimate_memory(
    const EnginePlan& plan,
    const ModelConfig& model,
    const StepShape& step,
    const OptimizerMemory& optimizer = {});

/// The most segments of a chunk, up to `most`, with which a step of the fused execution stays
/// within `budget_bytes`; 0 where not even one does.
std::int64_t segments_that_fit(
    EnginePlan plan,
    const ModelConfig& model,
    const StepShape& step,
    std::int64_t most,
    std::int64_t budget_bytes,
    const OptimizerMemory& optimizer = {});

} // namespace fcc
