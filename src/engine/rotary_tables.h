#pragma once

#include <cstdint>

#include <c10/core/TensorOptions.h>

#include "fcc/engine/cells.h"

namespace fcc {

/// The angles of a segment of `length` tokens and of the memory before it, as the model's
/// `memory_positions` asks (docs/method.md), in float32 (float64 for float64 `options`).
RotaryTables make_rotary_tables(
    const ModelConfig& config,
    std::int64_t length,
    bool with_memory,
    const at::TensorOptions& options);

} // namespace fcc
