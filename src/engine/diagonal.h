#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/run_config.h"

namespace fcc {

/// Cells that run at once: cell i is layer `first_layer + i` of segment `first_segment - i`.
/// Cell (n, s) needs X[n][s] and the memory from (n, s - 1), so all cells with one n + s are free
/// of each other.
struct Diagonal {
  std::int64_t first_layer = 0;
  std::int64_t first_segment = 0;
  std::int64_t num_cells = 1;

  std::int64_t segment(std::int64_t cell) const {
    return first_segment - cell;
  }
};

/// The forward order of all cells of N layers and S segments. `wavefront`: N + S - 1 diagonals;
/// `sequential`: N·S diagonals of one cell, segment after segment (the paper's way). The backward
/// pass goes through them in reverse.
std::vector<Diagonal>
make_schedule(Schedule schedule, std::int64_t num_layers, std::int64_t num_segments);

/// The cells of a diagonal in a contiguous tensor [layers, segments, …], as a strided view
/// [C, …]: entry i is [first_layer + i + layer_offset][first_segment - i + segment_offset].
at::Tensor diagonal_view(
    const at::Tensor& grid,
    const Diagonal& diagonal,
    std::int64_t layer_offset = 0,
    std::int64_t segment_offset = 0);

} // namespace fcc
