#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fcc/config/model_config.h"
#include "fcc/config/run_config.h"

namespace fcc {

/// The sizes of one micro-batch.
struct StepShape {
  std::int64_t batch = 1;               ///< B
  std::int64_t num_segments = 1;        ///< with gradient
  std::int64_t num_prefix_segments = 0; ///< before them, forward only
  std::int64_t segment_length = 1;      ///< L, tokens
};

/// What a step runs on: the operators' scratch memory depends on it.
enum class Processor {
  kCpu,
  kGpu,                ///< plain operators
  kGpuWithKernels,     ///< the project's kernels, where the dtype is bfloat16; attention too
  kGpuJoinedAttention, ///< the same, with attention that wants memory and current keys in one
                       ///< tensor
  kGpuPlainAttention   ///< the same, with attention by plain operators
};

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

/// Buffers of a step of the fused execution (src/engine), by formula: what lives from step to step,
/// a chunk's own buffers, and the fullest of the moments that need scratch memory (head, a
/// diagonal's backward pass, weight products, the embedding's gradient).
///
/// Chunks have `engine.chunk_segments` segments, or all. Tested against a counting allocator on the
/// CPU; on a GPU the allocator rounds and keeps free blocks, which comes on top.
MemoryEstimate estimate_fused_memory(
    const EngineSection& engine,
    const ModelConfig& model,
    const StepShape& step,
    Processor processor,
    const OptimizerMemory& optimizer = {});

/// The same for the reference execution: autograd keeps every operator's inputs. About; its
/// activations are counted by kinds, not one by one.
MemoryEstimate estimate_reference_memory(
    const EngineSection& engine,
    const ModelConfig& model,
    const StepShape& step,
    const OptimizerMemory& optimizer = {});

/// The most segments of a chunk, up to `most`, with which a step of the fused execution stays
/// within `budget_bytes`; 0 where not even one does.
std::int64_t segments_that_fit(
    const EngineSection& engine,
    const ModelConfig& model,
    const StepShape& step,
    std::int64_t most,
    Processor processor,
    std::int64_t budget_bytes,
    const OptimizerMemory& optimizer = {});

} // namespace fcc
