#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/dist/communicator.h"
#include "fcc/engine/engine_choice.h"
#include "fcc/engine/executor.h"
#include "fcc/model/parameters.h"
#include "fcc/optim/lr_schedule.h"
#include "fcc/optim/optimizer.h"
#include "fcc/train/card.h"
#include "fcc/train/checkpoint.h"
#include "fcc/train/curriculum.h"
#include "fcc/train/layer_split.h"
#include "fcc/train/metrics.h"
#include "fcc/train/resume.h"
#include "fcc/train/run_data.h"
#include "fcc/train/run_directory.h"
#include "fcc/train/weight_exchange.h"

namespace fcc {

/// What a trainer works on; `executor` refers to `parameters`.
struct TrainerParts {
  std::shared_ptr<Communicator> ranks = single_process(); ///< all of them
  /// Those that hold the same layers, and share the rows of a batch: all, unless layers are split.
  std::shared_ptr<Communicator> copies = single_process();
  /// Those that hold a copy of the model together: this one alone, unless layers are split.
  std::shared_ptr<Communicator> copy = single_process();
  std::unique_ptr<StageLink> link; ///< between those of `copy`; null where layers are not split
  RunData data;
  std::unique_ptr<FlatParameters> parameters;
  EngineSection engine; ///< resolved: how `executor` works
  std::unique_ptr<Executor> executor;
};

/// What the run's optimizer takes of the device's memory, on each of `num_ranks`.
/// Errors: `ConfigError` (optim.freeze; a kind that several ranks cannot share).
OptimizerMemory optimizer_memory(
    const RunConfig& config,
    const ModelConfig& model,
    at::DeviceType device,
    std::int64_t num_ranks = 1);

/// What decides how a run can be executed. `model`: as a rank holds it; it outlives the result.
EngineContext
engine_context(const RunConfig& config, const ModelConfig& model, std::int64_t num_ranks = 1);

/// The model as the stage with the most layers has it, where they are split: no rank holds more.
ModelConfig largest_stage(const RunConfig& config, const ModelConfig& model);

/// The longest micro-batch of each stage, on each of `num_ranks`; a plain Llama's is one segment.
std::vector<StepShape>
longest_steps(const RunConfig& config, const ModelConfig& model, std::int64_t num_ranks = 1);

/// The engine of a run as it will be: every `auto` resolved by the run's model, its longest steps
/// and the device's memory (see engine_choice.h). Errors: `ConfigError`.
EngineSection
resolve_run_engine(const RunConfig& config, const ModelConfig& model, std::int64_t num_ranks = 1);

/// The same for a card that need not be at hand; `memory_gib` counts where it is less.
EngineSection plan_run_engine(
    const RunConfig& config,
    const ModelConfig& model,
    const Card& card,
    std::int64_t num_ranks = 1);

/// Where and how a run is executed, for people: `cuda:0, bfloat16, execution fused, …`.
std::string engine_line(const EngineSection& resolved, c10::Device device);

/// The shape that a section asks for, with `model.fcc` in place of the `fcc` section of the rest.
/// A `checkpoint` stands in for `path`. Errors: `ConfigError`, `FormatError`, `IoError`.
ModelConfig resolve_model_config(
    const ModelSection& section,
    const std::optional<std::filesystem::path>& checkpoint = {});

/// The parts that a configuration asks for; data before weights, which take longer. Where a
/// `checkpoint` will be restored next, weights are zero until then, and it stands in for
/// `model.path`, which need not be there any more.
/// Every rank of `ranks` calls it.
/// Errors: those of `open_run_data`, `resolve_run_engine`, `load_weights` and `check_rows_divide`.
TrainerParts make_trainer_parts(
    const RunConfig& config,
    const std::optional<std::filesystem::path>& checkpoint = {},
    std::shared_ptr<Communicator> ranks = single_process());

/// Trains a model as a `RunConfig` says, step by step; everything that decides the next step is in
/// its `TrainerState`, the parameters and the optimizer, so that a restored trainer goes on bit for
/// bit (same machine, threads and versions).
///
/// Where there are several ranks, each has a trainer, and all call the same functions. A
/// micro-batch's rows are cut over the ranks; gradients are summed into shares of the flat buffer,
/// each rank updates its own share and keeps the optimizer's states for it, and all gather the
/// weights. Where layers are split (`engine.layer_ranks`), that goes for the ranks of a stage.
/// Reports, state and checkpoints are those of one process with the same configuration.
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
    exchange_->finish_gathering();
    return *parts_.parameters;
  }
  const Optimizer& optimizer() const {
    return *optimizer_;
  }

  /// One step of the optimizer. Reads losses and norm back once (that synchronises a GPU).
  StepReport step();

  /// Losses on the validation data sets, in segments as long as the last step's; changes nothing.
  std::vector<ValidationReport> validate();

  TrainerState state() const;
  /// What a checkpoint of this moment holds: the buffers that are trained, not copies of them; of
  /// several ranks, gathered on the CPU of rank 0 (the others call it as well, and get the state).
  CheckpointData checkpoint_data() const;
  /// May run on another thread, with a copy of the data, while training goes on.
  void save(const std::filesystem::path& directory, const CheckpointData& data) const;
  /// Goes on from a checkpoint directory (already verified). On a new course the optimizer's
  /// states, the data's positions and the steps so far stay, and the changed keys are noted in the
  /// log and in every checkpoint from then on. Errors: `ConfigError` on a change that would alter
  /// the course (or that no new course may make), `FormatError`.
  void restore(const std::filesystem::path& directory, Course course = Course::kSame);

  /// Shows `observer` every line that a later `run` writes to `metrics.jsonl`, on the thread that
  /// runs. What it throws ends the run, without a checkpoint; null: no more.
  void observe_metrics(MetricsObserver observer) {
    metrics_observer_ = std::move(observer);
  }

  enum class End { kFinished, kStopped };

  /// Steps until the last stage ends or `stop` is set, from `checkpoint` on if there is one, with
  /// validations, checkpoints and logs in `directory`; ends with a checkpoint, and where the run is
  /// finished with `final/`.
  End run(
      const RunDirectory& directory,
      const std::optional<std::filesystem::path>& checkpoint,
      const std::atomic<bool>& stop,
      Course course = Course::kSame);

  /// The same on the ranks but the first, which writes for all. A `stop` on one rank stops all.
  End run_beside(
      const std::optional<std::filesystem::path>& checkpoint,
      const std::atomic<bool>& stop,
      Course course = Course::kSame);

 private:
  struct StepSums;

  /// `directory`: null where nothing is written.
  End run_as(
      const RunDirectory* directory,
      const std::optional<std::filesystem::path>& checkpoint,
      const std::atomic<bool>& stop,
      Course course);
  void
  go_on_from(const RunDirectory* directory, const std::filesystem::path& checkpoint, Course course);
  bool any_rank(bool value) const;
  void gather_copies(CheckpointData& data) const;

  std::vector<Batch> draw_micro_batches(const BatchShape& shape);
  StepSums accumulate_gradients(const std::vector<Batch>& batches);
  Loader& stage_loader();
  /// Of the model of all stages together.
  const FlatParameters& whole_layout() const;
  /// Is the norm summed weight by weight? Then it does not depend on how layers are split.
  bool norm_is_by_weight() const;
  void share_tied_embedding();
  /// Σ g² over this rank's share, [] float64 on the device.
  at::Tensor squared_norm_of_share() const;
  /// Gives model and executor the length of segments of the stage that the run stands in.
  void take_segment_length();

  void adopt_engine(const EngineSection& saved);
  void save_if_best(const RunDirectory& directory, const std::vector<ValidationReport>& reports);

  RunConfig config_;               ///< resolved
  EngineSection requested_engine_; ///< before that
  TrainerParts parts_;
  mutable std::optional<FlatParameters> whole_layout_; ///< once asked for, of split layers
  std::unique_ptr<WeightExchange> exchange_;           ///< refers to `parts_`
  std::unique_ptr<Optimizer> optimizer_;
  LrPlan lr_plan_;
  Curriculum curriculum_;
  std::int64_t skipped_steps_ = 0;
  std::int64_t tokens_seen_ = 0;
  std::vector<CourseChange> course_changes_;
  std::optional<double> best_validation_;
  MetricsObserver metrics_observer_;
  std::int64_t segment_length_ = 0; ///< of the last step; 0 before the first
};

} // namespace fcc
