#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/data/loader.h"
#include "fcc/engine/engine_choice.h"
#include "fcc/engine/executor.h"
#include "fcc/model/parameters.h"
#include "fcc/optim/adamw.h"
#include "fcc/optim/lr_schedule.h"
#include "fcc/text/tokenizer.h"
#include "fcc/train/checkpoint.h"
#include "fcc/train/curriculum.h"
#include "fcc/train/metrics.h"
#include "fcc/train/validation.h"

namespace fcc {

/// What a trainer works on; `executor` refers to `parameters`.
struct TrainerParts {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<FlatParameters> parameters;
  EngineSection engine; ///< resolved: how `executor` works
  std::unique_ptr<Executor> executor;
};

/// What decides how a run can be executed. `model` outlives the result.
EngineContext engine_context(const RunConfig& config, const ModelConfig& model);

/// The longest micro-batch of each stage; a plain Llama's is one segment.
std::vector<StepShape> longest_steps(const RunConfig& config, const ModelConfig& model);

/// The engine of a run as it will be: every `auto` resolved by the run's model, its longest steps
/// and the device's memory (see engine_choice.h). Errors: `ConfigError`.
EngineSection resolve_run_engine(const RunConfig& config, const ModelConfig& model);

/// The shape that a section asks for, with `model.fcc` in place of the `fcc` section of the rest.
/// Errors: `ConfigError`, `FormatError`, `IoError`.
ModelConfig resolve_model_config(const ModelSection& section);

/// `data.tokenizer`; the tokenizer of `model.path` where the section names none. The BOS/EOS policy
/// is the section's own, else the one that the tokenizer's directory was saved with.
TokenizerConfig resolve_tokenizer_config(const RunConfig& config);

/// Opens the tokenizer and every dataset of a run, those for validation too, and closes them again.
/// Errors: `ConfigError`, `FormatError`, `IoError` naming the key and the file.
void check_data(const RunConfig& config);

/// The parts that a configuration asks for.
/// Errors: `ConfigError` (a vocabulary smaller than the tokenizer's, too), `FormatError`,
/// `IoError`.
TrainerParts make_trainer_parts(const RunConfig& config);

/// Tokens of a segment; a plain Llama counts lengths in segments of `FccConfig`'s default.
std::int64_t segment_length_of(const ModelConfig& config);

/// Trains a model as a `RunConfig` says, step by step; everything that decides the next step is in
/// its `TrainerState`, the parameters and the optimizer, so that a restored trainer goes on bit for
/// bit (same machine, threads and versions).
class Trainer {
 public:
  /// Sets the number of CPU threads of the process (`train.threads`; 0 leaves torch's choice).
  Trainer(RunConfig config, TrainerParts parts);

  bool finished() const {
    return curriculum_.finished();
  }
  const Curriculum& curriculum() const {
    return curriculum_;
  }
  FlatParameters& parameters() {
    return *parts_.parameters;
  }
  const AdamW& optimizer() const {
    return optimizer_;
  }

  /// One step of the optimizer. Reads losses and norm back once (that synchronises a GPU).
  StepReport step();

  /// Losses on the validation data sets; changes nothing.
  std::vector<ValidationReport> validate();

  TrainerState state() const;
  void save(const std::filesystem::path& directory);
  /// Goes on from a checkpoint directory (already verified). Errors: `ConfigError` on a change that
  /// would alter the course, `FormatError`.
  void restore(const std::filesystem::path& directory);

  enum class End { kFinished, kStopped };

  /// Steps until the last stage ends or `stop` is set, with validations, checkpoints and logs under
  /// `config.output`; ends with a checkpoint, and where the run is finished with `final/`.
  /// `resume`: absent, `auto` or a checkpoint's path (see `find_checkpoint`).
  End run(const std::optional<std::string>& resume, const std::atomic<bool>& stop);

 private:
  struct StepSums;

  std::vector<Batch> draw_micro_batches(const BatchShape& shape);
  StepSums accumulate_gradients(const std::vector<Batch>& batches);
  Loader& stage_loader();

  void adopt_engine(const EngineSection& saved);

  RunConfig config_;               ///< resolved
  EngineSection requested_engine_; ///< before that
  TrainerParts parts_;
  AdamW optimizer_;
  LrPlan lr_plan_;
  Curriculum curriculum_;
  std::vector<std::string> sources_; ///< fingerprints of all their datasets
  std::vector<Loader> loaders_;
  std::vector<std::size_t> loader_of_stage_;
  std::unique_ptr<Validator> validator_;
  std::int64_t skipped_steps_ = 0;
  std::int64_t tokens_seen_ = 0;
};

} // namespace fcc
