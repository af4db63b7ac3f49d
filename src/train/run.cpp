#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <utility>

#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/core/log.h"
#include "fcc/io/files.h"
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

bool is_due(std::int64_t step, std::int64_t every) {
  return every > 0 && step % every == 0;
}

} // namespace

Trainer::End Trainer::run(
    const RunDirectory& directory,
    const std::optional<fs::path>& checkpoint,
    const std::atomic<bool>& stop) {
  directory.remove_leftovers();
  if (checkpoint) {
    restore(*checkpoint);
    log(LogLevel::kInfo,
        "going on from " + checkpoint->string() + ", step " +
            std::to_string(curriculum_.state().step));
    for (const fs::path& aside : directory.set_later_aside(curriculum_.state().step)) {
      log(LogLevel::kWarning, "a later checkpoint was set aside: " + aside.string());
    }
  }
  log(LogLevel::kInfo, engine_line(config_.engine, parts_.parameters->master().device()));
  write_file_atomic(directory.root() / "config.json", write_config(config_));
  MetricsLog metrics(directory.root(), curriculum_.state().step, config_.log.tensorboard);
  PaceMeter meter(config_.train, segment_length_of(parts_.parameters->config()));
  meter.restart(tokens_seen_);
  const at::Device device = parts_.parameters->master().device();

  const auto validate_and_log = [&] {
    const std::int64_t step = curriculum_.state().step;
    const std::vector<ValidationReport> reports = validate();
    if (!reports.empty()) {
      for (const ValidationReport& report : reports) {
        log(LogLevel::kInfo, validation_line(step, report));
      }
      metrics.write(step, reports);
    }
  };
  CheckpointData copied;
  Background saving; // after what it writes from
  const auto save_and_prune = [&](bool in_background) {
    metrics.flush(); // a resumed run finds the lines of every step up to its checkpoint
    const std::int64_t step = curriculum_.state().step;
    const auto write = [this, &directory, step](const CheckpointData& data) {
      save(directory.checkpoint(step), data);
      directory.prune_checkpoints(config_.checkpoint.keep_last, step);
      log(LogLevel::kInfo, "checkpoint " + directory.checkpoint(step).string());
    };
    saving.finish(); // before the next copy is made
    if (in_background) {
      checkpoint_data().copy_to(copied);
      saving.start([write, &copied] { write(copied); });
    } else {
      write(checkpoint_data());
    }
  };

  std::int64_t saved_step = checkpoint ? curriculum_.state().step : -1;
  while (!finished() && !stop) {
    const StepReport report = step();
    std::optional<Pace> pace;
    if (is_due(report.step, config_.log.every) || finished() || report.skipped) {
      pace = meter.measure(curriculum_, tokens_seen_, device);
      log(report.skipped ? LogLevel::kWarning : LogLevel::kInfo, progress_line(report, *pace));
    }
    metrics.write(report, pace);
    if (skipped_steps_ > config_.train.max_skipped_steps) {
      metrics.flush();
      throw Error(
          "train",
          "losses or gradients were not finite in more steps than train.max_skipped_steps",
          std::to_string(skipped_steps_),
          "lower optim.lr, lengthen optim.warmup_steps, or look at the data near this step");
    }
    if (is_due(report.step, config_.train.validate_every) || finished()) {
      validate_and_log();
      meter.restart(tokens_seen_);
    }
    saving.check();
    if (is_due(report.step, config_.checkpoint.every) || finished()) {
      save_and_prune(config_.checkpoint.in_background && !finished());
      saved_step = report.step;
      meter.restart(tokens_seen_);
    }
  }
  saving.finish();
  if (saved_step != curriculum_.state().step) {
    save_and_prune(/*in_background=*/false);
  }
  metrics.flush();
  if (!finished()) {
    return End::kStopped;
  }
  save_final_model(
      directory.root() / "final",
      *parts_.parameters,
      *parts_.data.tokenizer,
      config_.data.tokenizer);
  return End::kFinished;
}

} // namespace fcc
