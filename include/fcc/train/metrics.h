#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fcc {

class AppendBuffer;
class EventFile;

/// What one step found; losses are in nats.
struct StepReport {
  std::int64_t step = 0; ///< counts from 1: steps done after this one
  std::string stage;
  double loss = 0;                   ///< what was minimised
  double mean_loss = 0;              ///< plain mean per counted token
  std::optional<double> answer_loss; ///< plain mean over the targets of answers
  double lr = 0;
  double grad_norm = 0; ///< before clipping
  bool skipped = false; ///< not finite: no update was made
  std::int64_t num_segments = 0, num_prefix_segments = 0;
  std::int64_t segment_length = 0; ///< tokens
  std::int64_t tokens_seen = 0;    ///< in all steps so far, prefixes too
  double padded_share = 0; ///< of this step's tokens: documents that start on segment borders
};

/// What one validation data set gave; losses are in nats per token.
struct ValidationReport {
  std::string dataset;
  double mean_loss = 0;
  std::optional<double> answer_loss;
  /// Share of rows whose answer tokens all have a probability over one half: greedy decoding
  /// certainly says these answers, so this is a lower bound of its exact match.
  std::optional<double> answers_certain;
  std::vector<std::optional<double>> segment_losses; ///< [S]; absent: no counted target there
};

/// How fast a run goes, for the progress line and the logs (never for a checkpoint).
struct Pace {
  double tokens_per_second = 0;
  std::int64_t memory_bytes = 0;
  double seconds_left = 0;
  bool at_most = false;        ///< a stage may end earlier
  std::int64_t most_steps = 0; ///< steps of the run, at most
};

/// `step 120/2000 | stage grow | loss 1.234 | …`
std::string progress_line(const StepReport& report, const Pace& pace);
/// Of more than 16 segments the line has the 1st, 2nd, 4th, … and the last.
std::string validation_line(std::int64_t step, const ValidationReport& report);

/// Sees the lines of `metrics.jsonl` as they come: one JSON object each.
using MetricsObserver = std::function<void(const std::string& line)>;

/// `metrics.jsonl` and the TensorBoard events of a run. Each line has `time`, when it was written
/// (seconds of Unix time), and `seconds`, what the run has taken so far without the pauses before
/// it was resumed; neither ever falls, not even where a run goes back to a checkpoint.
class MetricsLog {
 public:
  /// Cuts `metrics.jsonl` back to `first_step` (what a killed run wrote after its checkpoint) and
  /// goes on from there. Errors: `IoError`.
  MetricsLog(const std::filesystem::path& run_directory, std::int64_t first_step, bool tensorboard);
  ~MetricsLog();

  /// Shows `observer` every later line, without its end, once it is written.
  void observe(MetricsObserver observer) {
    observer_ = std::move(observer);
  }

  /// `pace` where it was just measured.
  void write(const StepReport& report, const std::optional<Pace>& pace);
  void write(std::int64_t step, const std::vector<ValidationReport>& reports);

  /// Hands everything to the disk: what a checkpoint's step wrote outlives a kill after it, and the
  /// machine's end. Errors: `IoError`; another attempt may follow.
  void sync();

 private:
  void write_line(const std::string& line);
  double seconds() const;
  double time();

  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  double seconds_before_ = 0; ///< what earlier processes of the run took
  double last_time_ = 0;      ///< of the last line, Unix time
  std::unique_ptr<AppendBuffer> file_;
  std::unique_ptr<EventFile> events_;
  MetricsObserver observer_;
};

} // namespace fcc
