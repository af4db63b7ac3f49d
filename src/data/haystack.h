#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fcc/data/task.h"

namespace fcc {

/// A text that stands in the haystack, after the share `place` (0..1) of the filler.
struct HaystackText {
  std::string text;
  double place = 0.0;
};

/// What a task's sample says: texts to be told among filler, then a question and its answer.
struct HaystackSample {
  std::string intro;
  std::vector<HaystackText> texts;
  std::string question, answer;
  std::int64_t slack_tokens = 0; ///< that the generated answer may take beyond the expected one
};

/// Writes the prompts of tasks: texts among filler, to an exact number of tokens.
///
///     [BOS] intro | filler … text … filler … text … filler | question
class Haystack {
 public:
  /// `config.filler` or `config.haystack`. Errors: `ConfigError` on an empty filler, a task that
  /// needs real text and has none, `add_bos` without a BOS.
  Haystack(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos);

  /// The prompt that ends with the question, and the answer, of a length that lies within `length`
  /// and is drawn from those that hold them. Texts of lower place come first, and of equal place in
  /// their order; each stands behind the end of a sentence where one is near.
  /// Errors: `ConfigError` naming the length that is needed.
  TaskSample write(TaskLength length, HaystackSample texts, Random& random) const;

 private:
  /// The nearest place at or before `place` where a sentence of the filler has ended.
  std::size_t behind_sentence(const std::vector<std::int32_t>& filler, std::size_t place) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::string space_;
  std::vector<std::int32_t> filler_;
  bool is_text_ = false, length_is_distance_ = false;
  std::vector<std::int32_t> bos_;
  std::vector<char> ends_sentence_; ///< by id
};

/// "a", "a and b", "a, b, and c".
std::string enumerated(const std::vector<std::string>& words);

} // namespace fcc
