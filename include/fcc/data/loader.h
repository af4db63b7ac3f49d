#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/data/batch.h"

namespace fcc {

class Tokenizer;

/// One endless source of rows. Row contents depend on (dataset, seed, position) alone; the position
/// is reached in O(1).
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual const std::string& name() const = 0;

  /// Fills row `row` of `batch` (already sized) from `position`, and returns the position after it.
  /// A position counts tokens for token files and samples for synthetic tasks.
  virtual std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const = 0;

  /// Times the source was read through at `position` (0 for endless tasks).
  virtual double epochs(std::int64_t position) const = 0;
};

/// Opens one dataset. Errors: `ConfigError`, `FormatError`, `IoError` naming the file.
std::unique_ptr<Dataset> make_dataset(
    const DatasetConfig& config,
    const std::string& name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed);

/// Draws rows from weighted datasets. All ranks draw alike and keep their own rows, so the state is
/// the same everywhere and a change in the number of ranks loses nothing.
class Loader {
 public:
  Loader(std::vector<std::unique_ptr<Dataset>> datasets, std::vector<double> weights, std::uint64_t seed);

  /// The next micro-batch of rank `rank` of `num_ranks` (global batch: num_ranks × shape.batch_size
  /// rows; every rank advances over all of them).
  Batch next(const BatchShape& shape, std::int64_t rank = 0, std::int64_t num_ranks = 1);

  /// Everything a resumed run needs: a position per dataset and the row counter of the mixture.
  struct State {
    std::vector<std::int64_t> positions;
    std::int64_t rows_drawn = 0;
  };
  const State& state() const {
    return state_;
  }
  /// Errors: `Error` if the number of datasets differs.
  void restore(State state);

  const std::vector<std::unique_ptr<Dataset>>& datasets() const {
    return datasets_;
  }

 private:
  std::vector<std::unique_ptr<Dataset>> datasets_;
  std::vector<double> weights_;
  std::uint64_t seed_;
  State state_;
};

/// The loader of a section's datasets. `seed` keeps stages and validation apart.
Loader make_loader(
    const std::vector<DatasetConfig>& datasets,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed);

} // namespace fcc
