#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"

namespace fcc {

class Random;
struct RecallFact;
class TokenFile;
class Tokenizer;

/// Where the parts of a row may stand.
struct RecallShape {
  std::int64_t length_tokens = 0;      ///< T
  std::int64_t first_graded_token = 0; ///< questions stand from here on where their fact allows it
};

/// One row of the task, with the target of its last token.
struct RecallRow {
  std::vector<std::int32_t> ids;    ///< [T + 1]
  std::vector<std::uint8_t> answer; ///< [T + 1], 1: part of an answer
};

/// Rows of filler in which facts are told and asked for, anywhere:
///
///     filler … fact 1 … filler … fact 2 … question 1, answer 1 … filler … question 2, answer 2 …
///
/// A fact names something ("The access code of Tarive is 48213.") and tells its value: digits,
/// words or a hexadecimal number, drawn anew for every row. Questions stand anywhere behind their
/// fact, on no grid of segments, and a row holds several: so each step has many answers to learn
/// from, at every distance, and what is learned is to carry facts rather than the form of one
/// sentence. `composed_share` of the facts have a wording that is put together at random. (The
/// wordings of RULER, arXiv 2404.06654, are not among the built-in templates: they are for
/// evaluation.)
///
/// Immutable; safe to share between threads.
class RecallTask {
 public:
  /// `keys`, `questions`, `templates`, `composed_share`, `fillers`, `text_share` and `first_share`
  /// of `config`.
  /// `text`, null where `text_share` is 0, holds the filler of that share of the rows; in the
  /// others one of `fillers` is repeated. `add_bos` puts the tokenizer's BOS first.
  /// Errors: `ConfigError` on an empty filler, `add_bos` without a BOS, a missing `text`.
  RecallTask(
      const DatasetConfig& config,
      std::shared_ptr<const Tokenizer> tokenizer,
      std::shared_ptr<const TokenFile> text,
      bool add_bos);

  /// The row that `random` draws: T + 1 ids. What does not fit is left out, the last questions
  /// first; one fact and its question remain. Errors: `ConfigError` where not even those fit.
  RecallRow make(const RecallShape& shape, Random& random) const;

 private:
  RecallFact compose_fact(std::int64_t most_tokens, Random& random) const;
  RecallFact fact_of_template(Random& random) const;
  std::vector<std::int32_t> filler(std::int64_t count, bool from_text, Random& random) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const TokenFile> text_;
  std::vector<RecallTemplate> templates_;
  std::vector<std::vector<std::int32_t>> fillers_; ///< tokens of each
  IntDistribution num_facts_, num_questions_;
  double composed_share_ = 0.0, text_share_ = 0.0, first_share_ = 0.0;
  std::vector<std::int32_t> bos_;
};

} // namespace fcc
