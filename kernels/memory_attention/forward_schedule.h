#pragma once

namespace fcc::kernels {

/// How the items of a forward launch are spread over the blocks (see WorkItem).
struct ScheduleShape {
  int num_blocks = 0;
  int num_sets = 0;      // sets of keys: C * B * G
  int items_per_set = 0; // from the heaviest to the lightest
  int heaviest_tiles = 0;
  int lightest_tiles = 0;
  double set_megabytes = 0.0; // keys and values of a set
};

/// Chooses how many sets make a chunk: few, so that their keys and values stay in the L2 cache
/// while the items that read them run, but such that the blocks end at about the same time.
int choose_chunk_sets(const ScheduleShape& shape);

} // namespace fcc::kernels
