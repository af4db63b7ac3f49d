#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// Precision, recall and their harmonic mean, each in 0..1 (0 where either text is empty).
struct RougeScore {
  double precision = 0.0;
  double recall = 0.0;
  double f1 = 0.0;
};

/// The scores of arXiv 2405.04620, table II, and the one that tables of CNN/DailyMail give.
struct RougeScores {
  RougeScore rouge_1;    ///< single words, each counted at most as often as the reference has it
  RougeScore rouge_2;    ///< pairs of neighbouring words
  RougeScore rouge_l;    ///< longest common subsequence of words over the whole text
  RougeScore rouge_lsum; ///< of each sentence (a line) of the reference with all of the generated
};

struct RougeOptions {
  bool stem = false; ///< words of four letters or more are cut to their stems (Porter, NLTK's form)
};

/// The words that are compared: runs of ASCII letters and digits, in lower case as Python's (which
/// makes `i` of U+0130 and `k` of U+212A).
std::vector<std::string> rouge_words(std::string_view text, const RougeOptions& options = {});

/// Scores a generated text against one reference, as Google's `rouge-score` 0.1.2 does, with
/// `use_stemmer` or without (Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004,
/// defines the scores). Time grows with the product of their lengths.
RougeScores
rouge(std::string_view generated, std::string_view reference, const RougeOptions& options = {});

/// One object: `rouge_1`, `rouge_2`, `rouge_l`, `rouge_lsum`, each with `precision`, `recall`,
/// `f1`.
std::string rouge_json(const RougeScores& scores);

} // namespace fcc
