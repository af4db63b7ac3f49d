#include "fcc/optim/flat_shares.h"

#include <algorithm>
#include <numeric>

#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::int64_t kAlignment = 64; // elements: kernels read several at once

void sort_by_place(std::vector<FlatRange>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const FlatRange& a, const FlatRange& b) {
    return a.first < b.first;
  });
}

/// Adds the part of a stretch that the ranks can share to `bucket`, and the rest to `left_over`.
void share_out(
    const FlatRange& range,
    std::int64_t num_ranks,
    FlatBucket& bucket,
    std::vector<FlatRange>& left_over) {
  const std::int64_t unit = num_ranks * kAlignment;
  const std::int64_t first =
      std::min(range.end, (range.first + kAlignment - 1) / kAlignment * kAlignment);
  const std::int64_t end = first + (range.end - first) / unit * unit;
  for (const FlatRange& rest : {FlatRange{range.first, first}, FlatRange{end, range.end}}) {
    if (rest.first < rest.end) {
      left_over.push_back(rest);
    }
  }
  if (first < end) {
    bucket.ranges.push_back({first, end});
  }
}

/// The matrices of layers [first, end), kind by kind.
std::vector<FlatRange>
matrices_of(const std::vector<StackedMatrices>& kinds, std::int64_t first, std::int64_t end) {
  std::vector<FlatRange> ranges;
  for (const StackedMatrices& kind : kinds) {
    const std::int64_t size =
        std::accumulate(kind.rows.begin(), kind.rows.end(), std::int64_t{0}) * kind.columns;
    const std::int64_t last = std::min(end, kind.num_layers);
    if (first < last) {
      ranges.push_back({kind.offset + first * size, kind.offset + last * size});
    }
  }
  sort_by_place(ranges);
  return ranges;
}

std::int64_t count(const std::vector<FlatRange>& ranges) {
  return std::accumulate(
      ranges.begin(), ranges.end(), std::int64_t{0}, [](std::int64_t sum, const FlatRange& range) {
        return sum + range.end - range.first;
      });
}

} // namespace

FlatShares
FlatShares::cut(const FlatParameters& layout, std::int64_t num_ranks, std::int64_t least_elements) {
  check(num_ranks >= 1, "FlatShares", "needs a rank at least");
  const std::int64_t trained = layout.regions().no_decay;
  FlatShares shares{.num_ranks = num_ranks, .buckets = {}, .left_over = {}};
  if (num_ranks == 1) {
    shares.left_over.push_back({0, trained});
    return shares;
  }
  const std::vector<StackedMatrices> kinds = layout.layer_matrices();
  std::int64_t num_layers = 0;
  for (const StackedMatrices& kind : kinds) {
    num_layers = std::max(num_layers, kind.num_layers);
  }
  FlatBucket outside{.first_layer = -1, .end_layer = 0, .ranges = {}};
  std::int64_t end = 0;
  for (const FlatRange& matrices : matrices_of(kinds, 0, num_layers)) {
    share_out({end, matrices.first}, num_ranks, outside, shares.left_over);
    end = matrices.end;
  }
  share_out({end, trained}, num_ranks, outside, shares.left_over);
  shares.buckets.push_back(std::move(outside));
  for (std::int64_t first = 0, last = 1; first < num_layers; first = last++) {
    while (last < num_layers && count(matrices_of(kinds, first, last)) < least_elements) {
      ++last;
    }
    FlatBucket bucket{.first_layer = first, .end_layer = last, .ranges = {}};
    for (const FlatRange& matrices : matrices_of(kinds, first, last)) {
      share_out(matrices, num_ranks, bucket, shares.left_over);
    }
    shares.buckets.push_back(std::move(bucket));
  }
  sort_by_place(shares.left_over);
  return shares;
}

FlatRange FlatShares::part_of(const FlatRange& range, std::int64_t rank) const {
  const std::int64_t part = (range.end - range.first) / num_ranks;
  return {range.first + rank * part, range.first + (rank + 1) * part};
}

std::vector<FlatRange> FlatShares::of(std::int64_t rank) const {
  std::vector<FlatRange> ranges;
  for (const FlatBucket& bucket : buckets) {
    for (const FlatRange& range : bucket.ranges) {
      ranges.push_back(part_of(range, rank));
    }
  }
  if (rank == 0) {
    ranges.insert(ranges.end(), left_over.begin(), left_over.end());
  }
  sort_by_place(ranges);
  std::vector<FlatRange> joined;
  for (const FlatRange& range : ranges) {
    if (!joined.empty() && joined.back().end == range.first) {
      joined.back().end = range.end;
    } else if (range.first < range.end) {
      joined.push_back(range);
    }
  }
  return joined;
}

} // namespace fcc
