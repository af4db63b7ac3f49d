#pragma once

#include <cstdint>

#include "engine/chunk.h"

namespace fcc {

/// Cell (n, s) is at tick s + n · this.
std::int64_t ticks_per_layer(Schedule schedule);

/// Ticks whose cells wait for one round of weight products: as few rounds as make products of
/// about `weight_product_rows`, all of them alike. Where segments are few and long, most ticks pass
/// a layer by: then as many as can have twice those rows, since every tick's slot takes memory.
std::int64_t window_ticks(const ChunkPlan& plan, std::int64_t num_segments);

} // namespace fcc
