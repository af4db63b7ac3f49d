#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fcc/dist/communicator.h"
#include "fcc/engine/executor.h"
#include "fcc/model/parameters.h"
#include "fcc/optim/flat_shares.h"

namespace fcc {

/// Sums the gradients of all ranks into shares, and gathers the weights that were updated in
/// shares, bucket by bucket beside the passes that make and use them. The order of the exchanges is
/// one and the same on all ranks, and so are the sums from run to run.
///
/// Errors, of every function: those of `Communicator`.
class WeightExchange {
 public:
  /// Both outlive it.
  WeightExchange(
      Communicator& ranks,
      FlatParameters& parameters,
      std::int64_t least_elements = FlatShares::kLeastElements);

  const FlatShares& shares() const {
    return shares_;
  }

  /// For one pass of a step; its last pass may announce gradients.
  PassHooks hooks(bool last_pass);

  /// After the last pass: `grad()` holds the sums in the rank's share and is undefined elsewhere.
  void finish_sums();

  /// Begins to gather `compute()`; a pass with hooks waits for what it needs of it.
  void begin_gathering();
  /// For everyone else who reads weights. Nothing where nothing was begun.
  void finish_gathering();

 private:
  void begin_sum(const FlatBucket& bucket);
  void wait_for_layer(std::int64_t layer);

  Communicator& ranks_;
  FlatParameters& parameters_;
  FlatShares shares_;
  std::vector<std::unique_ptr<Transfer>> sums_;
  std::size_t num_begun_ =
      0; ///< buckets of which the sum was begun: outside, then from the last on
  std::vector<std::unique_ptr<Transfer>> gathered_; ///< of each bucket, in order, until waited for
  std::size_t num_gathered_ = 0;
};

} // namespace fcc
