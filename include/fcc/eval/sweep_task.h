#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"

namespace fcc {

class PasskeyTask;
class Random;
class Tokenizer;

/// One prompt, and what a right answer says.
struct SweepSample {
  std::vector<std::int32_t> prompt;
  std::int64_t answer_tokens = 0;  ///< to generate
  std::vector<std::string> values; ///< each counts for itself
};

/// A task of a sweep over lengths and depths (`run_passkey_sweep`): something is told in a long
/// text and asked for at its end. A new task is a class of its own in `src/eval/NAME_task.cpp` and
/// a line in `src/eval/sweep_task.cpp`. Immutable; safe to share between threads.
class SweepTask {
 public:
  virtual ~SweepTask() = default;

  /// A sample of what `random` draws: the prompt and an answer that says it as expected have
  /// `length_tokens` together. What is asked for first stands after the share `depth` of the
  /// filler. Errors: `ConfigError` naming the length that is needed.
  virtual SweepSample make(std::int64_t length_tokens, double depth, Random& random) const = 0;

  /// How many of the sample's values the generated ids say. One value must be the whole answer,
  /// whitespace left out; of several, each must stand in it as a word.
  std::int64_t count_right(const SweepSample& sample, const std::vector<std::int32_t>& generated)
      const;

  /// What the results depend on, for the log of a sweep.
  virtual std::map<std::string, std::string> identity() const = 0;

 protected:
  explicit SweepTask(std::shared_ptr<const Tokenizer> tokenizer);
  const Tokenizer& tokenizer() const {
    return *tokenizer_;
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
};

/// What a needle hides.
enum class NeedleValue { kDigits, kWords, kUuid };

/// How needles are told and asked for. `{name}` stands for what a needle is of, `{key}` for its
/// value, `{kind}` for the sort of value ("number", "word", "uuid").
struct NeedleTemplate {
  std::string intro, needle, question;
  std::string questions; ///< where several values are asked for; empty: they cannot be
  bool operator==(const NeedleTemplate&) const = default;
};

/// A task and its options. RULER is arXiv 2404.06654.
struct SweepTaskConfig {
  std::string task = "passkey";       ///< one of `sweep_task_names`
  DatasetConfig passkey;              ///< `passkey`: texts and digits (data/passkey.h)
  NeedleTemplate texts;               ///< of needles
  std::string filler;                 ///< repeats where there is no `haystack`
  std::vector<std::int32_t> haystack; ///< real text, as tokens; each sample begins anywhere in it
  std::string haystack_name;          ///< what it is, for the log: a hash or a fingerprint
  bool needs_haystack = false;
  NeedleValue values = NeedleValue::kDigits;
  std::int64_t digits = 7;         ///< of needles' numbers
  std::int64_t keys = 1;           ///< needles of different names
  std::int64_t asked = 1;          ///< names that are asked for
  std::int64_t values_per_key = 1; ///< needles of each name
  std::int64_t hops = 4;           ///< `variables`: assignments after the first
};

/// `passkey`, `needle`, RULER's tasks, in this order.
std::vector<std::string> sweep_task_names();

/// The options that a name stands for. Errors: `ConfigError` naming the tasks there are.
SweepTaskConfig sweep_task_config(const std::string& task);

/// Names of built-in wordings: `ruler`, `passkey`, and some that no training data set has.
std::vector<std::string> needle_template_names();

/// A built-in wording, or that of a JSON file with `needle`, `question` and, if wanted, `intro` and
/// `questions`. Errors: `ConfigError`, `FormatError`, `IoError`.
NeedleTemplate needle_template(const std::string& name_or_file);

/// Errors: `ConfigError` on options that contradict each other or texts without their marks.
std::unique_ptr<SweepTask> make_sweep_task(
    const SweepTaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos);

} // namespace fcc
