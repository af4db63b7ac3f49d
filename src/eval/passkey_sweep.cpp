#include "fcc/eval/passkey_sweep.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "eval/sweep_log.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

using nlohmann::json;

void check_options(const PasskeySweepOptions& options) {
  const auto refuse = [](const char* key, const char* rule, const std::string& value) {
    throw ConfigError(key, rule, value);
  };
  if (options.lengths_tokens.empty()) {
    refuse("lengths", "at least one is needed", {});
  }
  if (options.depths.empty()) {
    refuse("depths", "at least one is needed", {});
  }
  for (const std::int64_t length : options.lengths_tokens) {
    if (length < 1) {
      refuse("lengths", "must be at least 1 token", std::to_string(length));
    }
  }
  for (const double depth : options.depths) {
    if (!(depth >= 0 && depth <= 1)) {
      refuse("depths", "must lie in 0..1", std::to_string(depth));
    }
  }
  if (options.spread_tokens < 0) {
    refuse("spread", "must be at least 0", std::to_string(options.spread_tokens));
  }
  if (options.off_multiples_of == 1) {
    refuse("off_multiples_of", "must leave lengths: 0 or at least 2", "1");
  }
  if (options.trials < 1) {
    refuse("trials", "must be at least 1", std::to_string(options.trials));
  }
  if (options.batch_size < 1) {
    refuse("batch_size", "must be at least 1", std::to_string(options.batch_size));
  }
}

json settings_of(const PasskeySweepOptions& options) {
  json settings = {{"sweep", "passkey"}, {"trials", options.trials}, {"seed", options.seed}};
  if (options.spread_tokens > 0) { // left out otherwise: older logs go on
    settings["spread_tokens"] = options.spread_tokens;
    settings["off_multiples_of"] = options.off_multiples_of;
  }
  for (const auto& [key, value] : options.identity) {
    settings[key] = value;
  }
  return settings;
}

std::optional<PasskeyCell>
find_cell(const SweepLog& log, std::int64_t length_tokens, double depth) {
  for (const json& entry : log.entries()) {
    try {
      if (entry.at("length_tokens") == length_tokens && entry.at("depth") == depth) {
        return PasskeyCell{
            .length_tokens = length_tokens,
            .depth = depth,
            .trials = entry.at("trials"),
            .correct = entry.at("correct"),
            .seconds = entry.at("seconds")};
      }
    } catch (const json::exception&) {
      throw FormatError("the sweep's log", "must hold whole cells", entry.dump());
    }
  }
  return std::nullopt;
}

/// What sample `trial` of a cell is drawn from.
Random random_of(
    const PasskeySweepOptions& options,
    std::int64_t length_tokens,
    double depth,
    std::int64_t trial) {
  constexpr double kDepths = 1e6; // depths that are told apart
  constexpr int kDrawsBits = 24;  // random numbers set aside for a sample
  const auto cell = static_cast<std::uint64_t>(length_tokens) * 2'000'003ULL +
                    static_cast<std::uint64_t>(std::llround(depth * kDepths));
  return Random(options.seed, cell, static_cast<std::uint64_t>(trial) << kDrawsBits);
}

/// A sample's length: the cell's, or one drawn around it.
std::int64_t
draw_length(const PasskeySweepOptions& options, std::int64_t length_tokens, Random& random) {
  const std::int64_t spread = options.spread_tokens, off = options.off_multiples_of;
  if (spread == 0) {
    return length_tokens;
  }
  std::int64_t drawn = 0;
  do {
    drawn = length_tokens - spread + random.below(2 * spread + 1);
  } while (off > 0 && drawn % off == 0);
  return drawn;
}

PasskeyCell run_cell(
    const PasskeySweepOptions& options,
    const Task& task,
    const AnswerFunction& answer,
    std::int64_t length_tokens,
    double depth) {
  const auto start = std::chrono::steady_clock::now();
  PasskeyCell cell{.length_tokens = length_tokens, .depth = depth};
  std::vector<TaskSample> samples;
  for (std::int64_t trial = 0; trial < options.trials; ++trial) {
    Random random = random_of(options, length_tokens, depth, trial);
    const std::int64_t length = draw_length(options, length_tokens, random);
    samples.push_back(task.make(length, depth, random));
    cell.trials += static_cast<std::int64_t>(samples.back().values.size());
  }
  // Where values take different numbers of tokens, prompts of one length differ by a few: only
  // equal ones run together.
  std::stable_sort(samples.begin(), samples.end(), [](const auto& a, const auto& b) {
    return a.prompt.size() < b.prompt.size();
  });
  for (std::size_t begin = 0; begin < samples.size();) {
    std::vector<std::vector<std::int32_t>> prompts;
    std::size_t end = begin;
    while (end < samples.size() && samples[end].prompt.size() == samples[begin].prompt.size() &&
           static_cast<std::int64_t>(end - begin) < options.batch_size) {
      prompts.push_back(samples[end++].prompt);
    }
    const auto answers = answer(prompts, samples[begin].answer_tokens);
    check(answers.size() == prompts.size(), "run_passkey_sweep", "each prompt needs an answer");
    for (std::size_t i = 0; i < answers.size(); ++i) {
      cell.correct += task.count_right(samples[begin + i], answers[i]);
    }
    begin = end;
  }
  cell.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return cell;
}

} // namespace

std::vector<PasskeyCell> run_passkey_sweep(
    const PasskeySweepOptions& options,
    const Task& task,
    const AnswerFunction& answer,
    const std::function<void(const PasskeyCell&, std::size_t, std::size_t)>& on_cell) {
  check_options(options);
  std::vector<std::int64_t> lengths = options.lengths_tokens;
  std::sort(lengths.begin(), lengths.end());
  // A length that is too short for the task is refused at once, before anything is written.
  Random random = random_of(options, lengths.front(), options.depths.front(), 0);
  task.make(lengths.front() - options.spread_tokens, options.depths.front(), random);
  SweepLog log(options.log, settings_of(options));
  std::vector<PasskeyCell> cells;
  for (const std::int64_t length : lengths) {
    for (const double depth : options.depths) {
      std::optional<PasskeyCell> cell = find_cell(log, length, depth);
      if (!cell) {
        cell = run_cell(options, task, answer, length, depth);
        log.append(
            {{"length_tokens", length},
             {"depth", depth},
             {"trials", cell->trials},
             {"correct", cell->correct},
             {"seconds", cell->seconds}});
      }
      cells.push_back(*cell);
      if (on_cell) {
        on_cell(*cell, cells.size(), lengths.size() * options.depths.size());
      }
    }
  }
  return cells;
}

} // namespace fcc
