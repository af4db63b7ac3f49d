#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fcc/data/task.h"
#include "fcc/eval/report.h"

namespace fcc {

/// Which samples a passkey sweep is made of: every length with every depth, `trials` times.
struct PasskeySweepOptions {
  std::vector<std::int64_t> lengths_tokens; ///< of prompt and answer together
  /// Each sample's own length is drawn uniformly from length ± this, multiples of
  /// `off_multiples_of` passed over where that is above 0: so recall is not measured on a grid of
  /// segments alone.
  std::int64_t spread_tokens = 0;
  std::int64_t off_multiples_of = 0;
  std::vector<double> depths;   ///< share of the filler before the needle, 0..1
  std::int64_t trials = 20;     ///< samples a cell
  std::int64_t batch_size = 64; ///< prompts that run at once, at most
  std::uint64_t seed = 1;       ///< of what is drawn
  std::filesystem::path log;    ///< JSON lines of the finished cells
  /// What else the results depend on (hashes of model and tokenizer, dtype, the task's `identity`):
  /// a log made with other values is refused by name.
  std::map<std::string, std::string> identity;
};

/// The result of one length and depth.
struct PasskeyCell {
  std::int64_t length_tokens = 0;
  double depth = 0.0;
  std::int64_t trials = 0;  ///< values asked for: of some tasks several a sample
  std::int64_t correct = 0; ///< of those, the ones that were said exactly
  double seconds = 0.0;

  double accuracy() const {
    return static_cast<double>(correct) / static_cast<double>(trials);
  }
};

/// Wilson's interval of 95 % for a share of which `correct` of `trials` were seen.
struct Interval {
  double low = 0.0, high = 1.0;
};
Interval wilson_interval(std::int64_t correct, std::int64_t trials);

/// Continues prompts of equal length by `num_tokens` tokens each, greedily: rows of ids.
using AnswerFunction = std::function<std::vector<std::vector<std::int32_t>>(
    const std::vector<std::vector<std::int32_t>>& prompts,
    std::int64_t num_tokens)>;

/// Runs the cells that the log lacks, shortest first, and returns all of them in the order of
/// lengths, then depths. Every cell draws anew (names, values, places), from the seed, its length
/// and its depth alone: a sweep that was killed and started again ends with the same cells as one
/// that was not. `on_cell` (may be empty) is told of each cell as it ends. Lengths and depths may
/// be added to an existing log. Errors: `ConfigError` on options out of range, a length too short
/// for the task, or a log made with other settings.
std::vector<PasskeyCell> run_passkey_sweep(
    const PasskeySweepOptions& options,
    const Task& task,
    const AnswerFunction& answer,
    const std::function<void(const PasskeyCell& cell, std::size_t done, std::size_t all)>& on_cell);

/// How a sweep's lengths are shown: in segments where they divide, and the trained length.
struct PasskeyReportOptions {
  std::string model;               ///< for the title
  std::string task = "passkey";    ///< the same
  std::int64_t segment_length = 0; ///< L, tokens; 0: lengths are shown in tokens
  std::optional<std::int64_t> trained_length_tokens = std::nullopt; ///< marked in the picture
};

/// Accuracy in percent: a row per length, a column per depth, then the mean and its interval.
Table passkey_table(const std::vector<PasskeyCell>& cells, const PasskeyReportOptions& options);

/// One row per cell, for spreadsheets.
Table passkey_cell_table(
    const std::vector<PasskeyCell>& cells,
    const PasskeyReportOptions& options);

/// The figures of `passkey_cell_table` with the settings, as JSON.
std::string passkey_json(
    const std::vector<PasskeyCell>& cells,
    const PasskeySweepOptions& sweep,
    const PasskeyReportOptions& options);

} // namespace fcc
