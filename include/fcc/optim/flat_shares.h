#pragma once

#include <cstdint>
#include <vector>

#include "fcc/model/parameters.h"

namespace fcc {

/// A stretch of a flat buffer, in elements.
struct FlatRange {
  std::int64_t first = 0, end = 0;

  bool operator==(const FlatRange&) const = default;
};

/// What ranks exchange at once: stretches of the flat buffer whose lengths are multiples of the
/// number of ranks; each rank has an equal part of every stretch, in the ranks' order.
struct FlatBucket {
  /// The layers whose matrices these are, [first_layer, end_layer); outside of all layers, and what
  /// belongs to none of them (embedding, head, vectors, first memory): [-1, 0).
  std::int64_t first_layer = 0, end_layer = 0;
  std::vector<FlatRange> ranges;
};

/// How the elements that are trained are shared out between ranks, so that a layer can be exchanged
/// as soon as its gradients are complete. A few elements beside the buckets, which do not divide,
/// are rank 0's.
struct FlatShares {
  /// 32 MiB of float32: smaller exchanges are bound by their latency.
  static constexpr std::int64_t kLeastElements = std::int64_t{1} << 23;

  std::int64_t num_ranks = 1;
  std::vector<FlatBucket> buckets;  ///< outside first, then the layers from 0 on; of one rank: none
  std::vector<FlatRange> left_over; ///< in order; of one rank: all that is trained

  /// A bucket holds as many neighbouring layers as make `least_elements`.
  static FlatShares cut(
      const FlatParameters& layout,
      std::int64_t num_ranks,
      std::int64_t least_elements = kLeastElements);
  std::vector<FlatRange> of(std::int64_t rank) const; ///< in order, apart, none of them empty
  /// A rank's part of a bucket's stretch.
  FlatRange part_of(const FlatRange& range, std::int64_t rank) const;
};

} // namespace fcc
