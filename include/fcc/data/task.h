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

/// How long a sample may be, prompt and answer together: the length is drawn uniformly from those
/// of the range that hold the sample; equal ends make it exact.
struct TaskLength {
  std::int64_t shortest_tokens = 0, longest_tokens = 0;
};

/// One prompt, and what a right answer says.
struct TaskSample {
  std::vector<std::int32_t> prompt;
  std::vector<std::int32_t> answer; ///< the expected one, which training learns
  std::int64_t answer_tokens = 0;   ///< to generate: those of `answer`, or a few more
  std::vector<std::string> values;  ///< each counts for itself
};

/// A task: something is told in a long text and asked for at its end. Sweeps
/// (eval/passkey_sweep.h) ask it, datasets of type `task` train on it. A new task is a class of its
/// own in `src/data/NAME_task.cpp` and a line in `src/data/task_names.cpp`. Immutable; safe to
/// share between threads.
class Task {
 public:
  virtual ~Task() = default;

  /// A sample of what `random` draws: prompt.size() + answer.size() lies within `length`. What is
  /// asked for first stands after the share `depth` (0..1) of the filler.
  /// Errors: `ConfigError` naming the length that is needed.
  virtual TaskSample make(TaskLength length, double depth, Random& random) const = 0;

  /// A sample of exactly `length_tokens`.
  TaskSample make(std::int64_t length_tokens, double depth, Random& random) const {
    return make(TaskLength{length_tokens, length_tokens}, depth, random);
  }

  /// How many of the sample's values the generated ids say. One value must be the whole answer,
  /// whitespace left out; of several, each must stand in it as a word.
  std::int64_t count_right(const TaskSample& sample, const std::vector<std::int32_t>& generated)
      const;

  /// What the results depend on, for the log of a sweep.
  virtual std::map<std::string, std::string> identity() const = 0;

 protected:
  explicit Task(std::shared_ptr<const Tokenizer> tokenizer);
  const Tokenizer& tokenizer() const {
    return *tokenizer_;
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
};

/// How needles are told and asked for. `{name}` stands for what a needle is of, `{key}` for its
/// value, `{kind}` for the sort of value ("number", "word", "uuid").
struct NeedleTemplate {
  std::string intro, needle, question;
  std::string questions; ///< where several values are asked for; empty: they cannot be
  bool operator==(const NeedleTemplate&) const = default;
};

/// A task and its options. RULER is arXiv 2404.06654, BABILong arXiv 2406.10149.
struct TaskConfig {
  std::string task = "passkey";       ///< one of `task_names`
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
  std::int64_t facts = 10;         ///< `qa1` to `qa5`: sentences of the story
  std::int64_t words = 8;          ///< `copy`: words of the passage
  /// `capacity`: a length is that of the filler between what is told and the question alone.
  bool length_is_distance = false;
};

/// All tasks: `passkey`, `needle`, RULER's tasks, stories, `capacity`, `copy`, in this order.
std::vector<std::string> task_names();

/// The options that a name stands for, with what `options` changes of them. Errors: `ConfigError`
/// naming the tasks there are, or the options that the task has.
TaskConfig task_config(const std::string& task, const TaskOptions& options = {});

/// Makes the text of `path`, a token file or a file of plain text, what needles stand in, in place
/// of a repeated filler. Errors: `ConfigError` on a file without text, `FormatError`, `IoError`.
void stand_in_text(TaskConfig& config, const std::string& path, const Tokenizer& tokenizer);

/// Names of built-in wordings: `ruler`, `passkey`, and some that no training data set has.
std::vector<std::string> needle_template_names();

/// A built-in wording, or that of a JSON file with `needle`, `question` and, if wanted, `intro` and
/// `questions`. Errors: `ConfigError`, `FormatError`, `IoError`.
NeedleTemplate needle_template(const std::string& name_or_file);

/// Errors: `ConfigError` on options that contradict each other or texts without their marks.
std::unique_ptr<Task>
make_task(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos);

} // namespace fcc
