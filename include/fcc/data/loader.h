#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/data/batch.h"

namespace fcc {

class Tokenizer;

/// Whether documents and prompts begin with BOS and end with EOS: `data.tokenizer`'s policy. Token
/// files must have been made with the same.
struct DocumentMarks {
  bool bos = false;
  bool eos = true;
};

/// The marks that a section asks for, or the defaults.
inline DocumentMarks marks_of(const TokenizerConfig& config) {
  return {.bos = config.begins_with_bos(), .eos = config.ends_with_eos()};
}

/// One endless source of rows. Row contents depend on (dataset, seed, shape, position) alone; any
/// position is reached at once. Immutable: safe to share between threads.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual const std::string& name() const = 0;

  /// Fills row `row` of `batch` (sized and cleared: ids 0, no targets) from `position`, and returns
  /// the position after it. A position counts tokens for `tokens`, rows for the other kinds; it
  /// goes on counting over the end of the source.
  virtual std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const = 0;

  /// What `fill` would return, without the work: how a rank passes over the rows of others.
  virtual std::int64_t skip(const BatchShape& shape, std::int64_t position) const = 0;

  /// Times the source was read through at `position` (0 for endless tasks).
  virtual double epochs(std::int64_t position) const = 0;

  /// Share of the ids of one pass that are padding (0 where none is needed or none can be told).
  virtual double padded_share(const BatchShape& shape) const = 0;

  /// Tells the dataset's file from another (`file_fingerprint`), so that a position is not used in
  /// the wrong one; empty for datasets that follow from their configuration alone.
  virtual std::string fingerprint() const {
    return {};
  }
};

/// Opens one dataset:
/// - `tokens`: consecutive windows of T tokens of a token file, documents joined as they lie; the
///   end joins the beginning. With `document_memory: reset` a document starts on a segment
///   boundary, the gap before it is padding, and its first segment is marked; the row then holds
///   fewer than T tokens, and the next row goes on with the first one left out.
/// - `documents`: document after document of a token file, one a row from its beginning, cut at T
///   tokens or padded. Documents of one token are passed over.
/// - `passkey`: see passkey.h; sample `position`, of T tokens or, with `length: free`, of any
/// number
///   that ends in the last segment; EOS is the last target where the policy has one.
/// - `recall`: see recall.h.
/// - `task`: see task.h; rows as those of `passkey`.
/// - `pairs`: see pairs.h.
/// Errors: `ConfigError`, `FormatError`, `IoError` naming the file.
std::unique_ptr<Dataset> make_dataset(
    const DatasetConfig& config,
    const std::string& name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks = {});

/// Draws rows from weighted datasets: the dataset of row i depends on (seed, i) alone. All ranks
/// draw alike and keep their own rows, so the state is the same everywhere and a change in the
/// number of ranks loses nothing.
class Loader {
 public:
  Loader(
      std::vector<std::unique_ptr<Dataset>> datasets,
      std::vector<double> weights,
      std::uint64_t seed);

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
  /// Errors: `Error` if the number of datasets differs. Whether they are the same ones is for the
  /// caller to compare (`Dataset::fingerprint`).
  void restore(State state);

  const std::vector<std::unique_ptr<Dataset>>& datasets() const {
    return datasets_;
  }
  /// The share of the rows that are drawn from a dataset.
  double share(std::size_t dataset) const;

 private:
  std::vector<std::unique_ptr<Dataset>> datasets_;
  std::vector<double> weights_;
  std::uint64_t seed_;
  State state_;
};

/// The loader of a section's datasets. `seed` keeps stages and validation apart. `key`, where the
/// section stands in a configuration (`data.train`): errors then name `data.train.0.path`.
Loader make_loader(
    const std::vector<DatasetConfig>& datasets,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks = {},
    const std::string& key = {});

} // namespace fcc
