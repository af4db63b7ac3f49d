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

/// The three scores of arXiv 2405.04620, table II.
struct RougeScores {
  RougeScore rouge_1; ///< single words, each counted at most as often as the reference has it
  RougeScore rouge_2; ///< pairs of neighbouring words
  RougeScore rouge_l; ///< longest common subsequence of words over the whole text
};

/// The words that are compared: runs of ASCII letters and digits, in lower case, not stemmed
/// (the tokenisation of Google's `rouge_score`; Lin, "ROUGE: A Package for Automatic Evaluation of
/// Summaries", 2004, defines the scores).
std::vector<std::string> rouge_words(std::string_view text);

/// Scores a generated text against one reference. Time grows with the product of their lengths.
RougeScores rouge(std::string_view generated, std::string_view reference);

} // namespace fcc
