#pragma once

#include <cstdint>

#include "fcc/engine/chunk.h"

namespace fcc {

/// The sizes of one micro-batch.
struct StepShape {
  std::int64_t batch = 1;               ///< B
  std::int64_t num_segments = 1;        ///< with gradient
  std::int64_t num_prefix_segments = 0; ///< before them, forward only
  std::int64_t segment_length = 1;      ///< L, tokens
};

/// Bytes that a chunk of `num_segments` takes with its activations kept, `element_bytes` each.
std::int64_t chunk_bytes(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    std::int64_t element_bytes);

/// Bytes of parameters, gradients and AdamW's states: 16 or 18 a parameter (32 in float64).
std::int64_t state_bytes(std::int64_t num_parameters, ComputeDType dtype);

/// The largest chunk that fits beside the states in `budget_bytes`, at least 1 and at most
/// `num_segments`; the memory between chunks is counted.
std::int64_t segments_that_fit(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    std::int64_t element_bytes,
    std::int64_t budget_bytes);

/// The most segments of a chunk, up to `most`, with which a step of the fused execution stays
/// within `budget_bytes`; at least 1.
std::int64_t segments_that_fit(
    const EngineSection& engine,
    const ModelConfig& model,
    const StepShape& step,
    std::int64_t most,
    bool with_kernels,
    std::int64_t budget_bytes);

} // namespace fcc
