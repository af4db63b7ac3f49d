#include "memory_attention/forward_schedule.h"

#include <algorithm>
#include <vector>

namespace fcc::kernels {
namespace {

// The time of an item beside its tiles, in tiles: its start, its end and a diagonal tile that has
// nothing to run beside.
constexpr double kItemOverheadTiles = 0.7;

// What a larger chunk costs by reading keys again from memory: measured 0.2 to 0.4 % a megabyte.
constexpr double kCostPerMegabyte = 0.003;

constexpr int kMostChunks = 16;

// The work of the busiest block. Items of one rank of one chunk are equal, so each such run of
// items is added to a range of blocks at once, by its ends.
double longest_block(const ScheduleShape& shape, int chunk_sets) {
  const int blocks = shape.num_blocks;
  std::vector<double> change(static_cast<size_t>(blocks) + 1, 0.0);
  const auto add = [&](int first, int count, double work) {
    change[static_cast<size_t>(first)] += work;
    change[static_cast<size_t>(first + count)] -= work;
  };
  int number = 0;
  for (int first_set = 0; first_set < shape.num_sets; first_set += chunk_sets) {
    const int sets = std::min(chunk_sets, shape.num_sets - first_set);
    for (int rank = 0; rank < shape.items_per_set; ++rank) {
      const double share =
          shape.items_per_set == 1 ? 0.0 : static_cast<double>(rank) / (shape.items_per_set - 1);
      const double work = kItemOverheadTiles + shape.heaviest_tiles -
                          share * (shape.heaviest_tiles - shape.lightest_tiles);
      for (int left = sets; left > 0;) {
        const int position = number % blocks;
        const int count = std::min(left, blocks - position);
        const bool leftwards = number / blocks % 2 == 1;
        add(leftwards ? blocks - position - count : position, count, work);
        number += count;
        left -= count;
      }
    }
  }
  double work = 0.0;
  double longest = 0.0;
  for (const double step : change) {
    work += step;
    longest = std::max(longest, work);
  }
  return longest;
}

} // namespace

int choose_chunk_sets(const ScheduleShape& shape) {
  int best_sets = shape.num_sets;
  double best_cost = 0.0;
  for (int chunks = 1; chunks <= std::min(kMostChunks, shape.num_sets); ++chunks) {
    const int sets = (shape.num_sets + chunks - 1) / chunks;
    const double cost =
        longest_block(shape, sets) * (1.0 + kCostPerMegabyte * sets * shape.set_megabytes);
    if (chunks == 1 || cost < best_cost) {
      best_sets = sets;
      best_cost = cost;
    }
  }
  return best_sets;
}

} // namespace fcc::kernels
