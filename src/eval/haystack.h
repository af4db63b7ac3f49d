#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fcc/eval/sweep_task.h"

namespace fcc {

/// A text that stands in the haystack, after the share `place` (0..1) of the filler.
struct HaystackText {
  std::string text;
  double place = 0.0;
};

/// Writes prompts of needle tasks: texts among filler, to an exact number of tokens.
///
///     [BOS] intro | filler … text … filler … text … filler | question
class Haystack {
 public:
  /// `config.filler` or `config.haystack`. Errors: `ConfigError` on an empty filler, a task that
  /// needs real text and has none, `add_bos` without a BOS.
  Haystack(const SweepTaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos);

  /// The prompt that ends with `question` and leaves room for `answer`. Texts of lower place come
  /// first, and of equal place in their order; each stands behind the end of a sentence where one
  /// is near. `sample.answer_tokens` are those of `answer` and `slack` more.
  /// Errors: `ConfigError` naming the length that is needed.
  SweepSample write(
      std::int64_t length_tokens,
      const std::string& intro,
      std::vector<HaystackText> texts,
      const std::string& question,
      const std::string& answer,
      std::int64_t slack,
      Random& random) const;

 private:
  /// The nearest place at or before `place` where a sentence of the filler has ended.
  std::size_t behind_sentence(const std::vector<std::int32_t>& filler, std::size_t place) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::string space_;
  std::vector<std::int32_t> filler_;
  bool is_text_ = false;
  std::vector<std::int32_t> bos_;
  std::vector<char> ends_sentence_; ///< by id
};

/// "a", "a and b", "a, b, and c".
std::string enumerated(const std::vector<std::string>& words);

} // namespace fcc
