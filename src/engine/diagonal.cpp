#include "engine/diagonal.h"

#include <algorithm>

namespace fcc {

std::vector<Diagonal>
make_schedule(Schedule schedule, std::int64_t num_layers, std::int64_t num_segments) {
  std::vector<Diagonal> order;
  if (schedule == Schedule::kSequential) {
    for (std::int64_t s = 0; s < num_segments; ++s) {
      for (std::int64_t n = 0; n < num_layers; ++n) {
        order.push_back({n, s, 1});
      }
    }
    return order;
  }
  for (std::int64_t t = 0; t < num_layers + num_segments - 1; ++t) {
    const std::int64_t first = std::max<std::int64_t>(0, t - num_segments + 1);
    const std::int64_t last = std::min(num_layers - 1, t);
    order.push_back({first, t - first, last - first + 1});
  }
  return order;
}

at::Tensor diagonal_view(
    const at::Tensor& grid,
    const Diagonal& diagonal,
    std::int64_t layer_offset,
    std::int64_t segment_offset) {
  const auto strides = grid.strides();
  std::vector<std::int64_t> sizes{diagonal.num_cells};
  std::vector<std::int64_t> view_strides{strides[0] - strides[1]};
  for (std::int64_t d = 2; d < grid.dim(); ++d) {
    sizes.push_back(grid.size(d));
    view_strides.push_back(strides[static_cast<std::size_t>(d)]);
  }
  const std::int64_t offset = grid.storage_offset() +
                              (diagonal.first_layer + layer_offset) * strides[0] +
                              (diagonal.first_segment + segment_offset) * strides[1];
  return grid.as_strided(sizes, view_strides, offset);
}

} // namespace fcc
