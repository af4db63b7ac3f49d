#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <utility>

#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/core/log.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/train/import_check.h"
#include "fcc/train/memory_use.h"
#include "fcc/train/trainer.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Tokens a second since the last progress line, and what follows from it.
class PaceMeter {
 public:
  PaceMeter(const TrainSection& train, std::int64_t segment_length)
      : train_(train), segment_length_(segment_length) {}

  Pace measure(const Curriculum& curriculum, std::int64_t tokens_seen, at::Device device) {
    const double seconds = seconds_since(start_);
    Pace pace;
    pace.tokens_per_second = static_cast<double>(tokens_seen - tokens_) / std::max(seconds, 1e-9);
    pace.memory_bytes = peak_memory_bytes(device);
    const double tokens_left = curriculum.most_tokens_left(segment_length_);
    pace.seconds_left = tokens_left / std::max(pace.tokens_per_second, 1e-9);
    pace.most_steps = curriculum.state().step + curriculum.most_steps_left();
    for (auto i = static_cast<std::size_t>(curriculum.state().stage); i < train_.stages.size();
         ++i) {
      pace.at_most = pace.at_most || train_.stages[i].until.has_value();
    }
    restart(tokens_seen);
    return pace;
  }

  /// Leaves the time since the last measure out (validation, a checkpoint).
  void restart(std::int64_t tokens_seen) {
    start_ = Clock::now();
    tokens_ = tokens_seen;
  }

 private:
  const TrainSection& train_;
  std::int64_t segment_length_;
  Clock::time_point start_ = Clock::now();
  std::int64_t tokens_ = 0;
};

/// One piece of work at a time on another thread. Its error comes up at the next call.
class Background {
 public:
  void start(std::function<void()> work) {
    finish();
    running_ = std::async(std::launch::async, std::move(work));
  }
  void finish() {
    if (running_.valid()) {
      running_.get();
    }
  }
  /// Throws the error of work that has ended; does not wait.
  void check() {
    if (running_.valid() &&
        running_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      running_.get();
    }
  }

 private:
  std::future<void> running_; // the destructor waits
};

/// Ends a run that no longer learns.
void refuse_too_many_skipped(
    const TrainSection& train,
    std::int64_t in_all,
    std::int64_t in_a_row) {
  const bool row = in_a_row > train.max_consecutive_skipped_steps;
  if (row || in_all > train.max_skipped_steps) {
    throw Error(
        "train",
        row ? "losses or gradients were not finite in more steps in a row than "
              "train.max_consecutive_skipped_steps"
            : "losses or gradients were not finite in more steps than train.max_skipped_steps",
        std::to_string(row ? in_a_row : in_all),
        "lower optim.lr, lengthen optim.warmup_steps, or look at the data near this step; the "
        "checkpoints from before stay");
  }
}

/// What shows a wrong import in the first lines of a run, and not after hours of it.
void log_import(
    const std::string& directory,
    FlatParameters& parameters,
    const RunConfig& config,
    RunData& data) {
  const ImportReport report = check_import(directory, parameters.config(), data);
  std::string facts;
  for (const std::string& fact : report.facts) {
    facts += (facts.empty() ? "" : "; ") + fact;
  }
  log(LogLevel::kInfo, directory + ": " + facts);
  for (const std::string& warning : report.warnings) {
    log(LogLevel::kWarning, directory + ": " + warning);
  }
  log(LogLevel::kInfo, first_losses_line(measure_first_losses(parameters, config, data)));
}

bool is_due(std::int64_t step, std::int64_t every) {
  return every > 0 && step % every == 0;
}

} // namespace

Trainer::End Trainer::run(
    const RunDirectory& directory,
    const std::optional<fs::path>& checkpoint,
    const std::atomic<bool>& stop,
    Course course) {
  check(parts_.ranks->is_first(), "Trainer::run", "is for rank 0; the others run beside it");
  return run_as(&directory, checkpoint, stop, course);
}

Trainer::End Trainer::run_beside(
    const std::optional<fs::path>& checkpoint,
    const std::atomic<bool>& stop,
    Course course) {
  check(!parts_.ranks->is_first(), "Trainer::run_beside", "is for the ranks but the first");
  return run_as(nullptr, checkpoint, stop, course);
}

void Trainer::go_on_from(const RunDirectory* directory, const fs::path& checkpoint, Course course) {
  restore(checkpoint, course);
  const std::int64_t step = curriculum_.state().step;
  if (directory != nullptr) {
    log(LogLevel::kInfo, "going on from " + checkpoint.string() + ", step " + std::to_string(step));
    for (const fs::path& aside : directory->set_later_aside(step)) {
      log(LogLevel::kWarning, "a later checkpoint was set aside: " + aside.string());
    }
  }
}

bool Trainer::any_rank(bool value) const {
  return sum_over_ranks(*parts_.ranks, {value ? 1.0 : 0.0}).front() > 0;
}

Trainer::End Trainer::run_as(
    const RunDirectory* directory,
    const std::optional<fs::path>& checkpoint,
    const std::atomic<bool>& stop,
    Course course) {
  const bool writes = directory != nullptr;
  if (writes) {
    require_replaceable(directory->root() / "final"); // before hours of work for it
    directory->remove_leftovers();
  }
  if (checkpoint) {
    go_on_from(directory, *checkpoint, course);
  }
  std::optional<MetricsLog> metrics;
  if (writes) {
    const std::int64_t num_ranks = parts_.ranks->size();
    log(LogLevel::kInfo,
        engine_line(config_.engine, parts_.parameters->master().device()) +
            (num_ranks > 1 ? ", on each of " + std::to_string(num_ranks) + " ranks" : "") +
            (parts_.link != nullptr
                 ? ", layers split over " + std::to_string(config_.engine.layer_ranks)
                 : ""));
    write_file_atomic(directory->root() / "config.json", write_config(config_));
    if (!checkpoint && config_.model.path && parts_.link == nullptr) {
      log_import(*config_.model.path, *parts_.parameters, config_, parts_.data);
    }
    metrics.emplace(directory->root(), curriculum_.state().step, config_.log.tensorboard);
    metrics->observe(metrics_observer_);
  }
  PaceMeter meter(config_.train, segment_length_of(parts_.parameters->config()));
  meter.restart(tokens_seen_);
  const at::Device device = parts_.parameters->master().device();

  const auto validate_and_log = [&] {
    const std::int64_t step = curriculum_.state().step;
    const std::vector<ValidationReport> reports = validate();
    if (!reports.empty()) {
      if (writes) {
        for (const ValidationReport& report : reports) {
          log(LogLevel::kInfo, validation_line(step, report));
        }
        metrics->write(step, reports);
        save_if_best(*directory, reports);
      }
      curriculum_.observe(reports);
    }
  };
  // Only what is written, read back and found whole may push an older one out.
  std::int64_t saved_step = checkpoint ? curriculum_.state().step : -1;
  const auto write = [&](const CheckpointData& data, std::int64_t step, bool prune) {
    const fs::path path = directory->checkpoint(step);
    save(path, data);
    verify_checkpoint(path);
    saved_step = step;
    if (prune) {
      directory->prune_checkpoints(config_.checkpoint.keep_last, step);
    }
    log(LogLevel::kInfo, "checkpoint " + path.string());
  };
  const auto keep_log = [&] {
    metrics->sync(); // a resumed run finds the lines of every step up to its checkpoint
    if (const fs::path file = directory->root() / "log.txt"; fs::exists(file)) {
      sync_to_disk(file);
    }
  };
  const auto tell_if_it_fails = [&](const auto& work) {
    try {
      work();
    } catch (const IoError& error) {
      if (config_.checkpoint.stop_on_error) {
        throw;
      }
      log(LogLevel::kWarning,
          std::string("saving a checkpoint failed, and is tried again when the next is due: ") +
              error.what());
    }
  };
  CheckpointData copied;
  Background saving; // after what it writes from
  const auto save_on_the_way = [&] {
    tell_if_it_fails([&] { saving.finish(); });    // before the next copy is made
    const CheckpointData data = checkpoint_data(); // of all ranks
    if (!writes) {
      return;
    }
    tell_if_it_fails([&] {
      keep_log();
      const std::int64_t step = curriculum_.state().step;
      if (config_.checkpoint.in_background) {
        data.copy_to(copied);
        saving.start([&write, &copied, step] { write(copied, step, /*prune=*/true); });
      } else {
        write(data, step, /*prune=*/true);
      }
    });
  };

  bool is_save_due = false;
  std::int64_t skipped_in_a_row = 0,
               segment_length = segment_length_of(parts_.parameters->config());
  while (!finished() && !any_rank(stop)) {
    const auto stage = static_cast<std::size_t>(curriculum_.state().stage);
    if (stage_segment_length(config_.train, stage, segment_length) != segment_length) {
      tell_if_it_fails([&] { saving.finish(); }); // what is being written says the old length
    }
    const StepReport report = step();
    if (report.segment_length != segment_length) {
      segment_length = report.segment_length;
      log(LogLevel::kInfo,
          "from step " + std::to_string(report.step) + " on: segments of " +
              std::to_string(segment_length) + " tokens (stage " + report.stage + ')');
    }
    std::optional<Pace> pace;
    if (writes && (is_due(report.step, config_.log.every) || finished() || report.skipped)) {
      pace = meter.measure(curriculum_, tokens_seen_, device);
      log(report.skipped ? LogLevel::kWarning : LogLevel::kInfo, progress_line(report, *pace));
    }
    if (writes) {
      metrics->write(report, pace);
    }
    skipped_in_a_row = report.skipped ? skipped_in_a_row + 1 : 0;
    refuse_too_many_skipped(config_.train, skipped_steps_, skipped_in_a_row);
    if (is_due(report.step, config_.train.validate_every) || finished()) {
      validate_and_log();
      meter.restart(tokens_seen_);
    }
    tell_if_it_fails([&] { saving.check(); });
    is_save_due = is_save_due || is_due(report.step, config_.checkpoint.every);
    if (is_save_due && !report.skipped && !finished()) { // a state that may be broken waits
      save_on_the_way();
      is_save_due = false;
      meter.restart(tokens_seen_);
    }
  }
  tell_if_it_fails([&] { saving.finish(); });
  if (any_rank(writes && saved_step != curriculum_.state().step)) {
    const CheckpointData data = checkpoint_data();
    if (writes) {
      keep_log();
      write(data, curriculum_.state().step, /*prune=*/skipped_in_a_row == 0);
    }
  } else if (writes) {
    keep_log();
  }
  if (finished()) {
    exchange_->finish_gathering();
    const at::Tensor compute =
        parts_.link != nullptr ? checkpoint_data().compute : parts_.parameters->compute();
    if (writes) {
      save_final_model(
          directory->root() / "final",
          compute,
          whole_layout(),
          *parts_.data.tokenizer,
          config_.data.tokenizer);
    }
  }
  parts_.ranks->barrier(); // whoever ends has ended well
  return finished() ? End::kFinished : End::kStopped;
}

} // namespace fcc
