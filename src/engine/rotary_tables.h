#pragma once

#include <cstdint>

#include <c10/core/TensorOptions.h>

#include "engine/cells.h"

namespace fcc {

/// The angles of a segment of `length` tokens and of the memory before it, where the policy has
/// their keys stand, in float32 (float64 for float64 `options`).
RotaryTables make_rotary_tables(
    const MemoryPolicy& policy,
    std::int64_t length,
    bool with_memory,
    const at::TensorOptions& options);

} // namespace fcc
