#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/data/loader.h"
#include "fcc/dist/communicator.h"
#include "fcc/engine/executor.h"
#include "fcc/model/parameters.h"
#include "fcc/train/metrics.h"

namespace fcc {

/// Measures a model on the validation data sets: always the same rows, so that figures of a run can
/// be compared, and without any effect on the state of the training.
class Validator {
 public:
  /// Sequences have `validation_segments` segments, in `validation_batches` batches of
  /// `batch_size` rows, from the start of each data set.
  Validator(
      const RunConfig& config,
      DocumentMarks marks,
      const std::shared_ptr<const Tokenizer>& tokenizer);

  /// One report a data set, alike on all ranks, which share the rows of each batch. Forward passes
  /// only.
  std::vector<ValidationReport> run(
      Executor& executor,
      FlatParameters& parameters,
      std::int64_t segment_length,
      Communicator& ranks);

 private:
  struct Source {
    std::string name;
    Loader loader;
    Loader::State start;
  };
  TrainSection train_;
  std::vector<Source> sources_;
};

} // namespace fcc
