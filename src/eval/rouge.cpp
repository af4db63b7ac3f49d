#include "fcc/eval/rouge.h"

#include <algorithm>
#include <map>
#include <utility>

namespace fcc {
namespace {

using Words = std::vector<std::string>;

RougeScore score(std::size_t matches, std::size_t generated, std::size_t reference) {
  RougeScore result;
  if (matches > 0) {
    result.precision = static_cast<double>(matches) / static_cast<double>(generated);
    result.recall = static_cast<double>(matches) / static_cast<double>(reference);
    result.f1 = 2 * result.precision * result.recall / (result.precision + result.recall);
  }
  return result;
}

std::map<Words, std::size_t> count_ngrams(const Words& words, std::size_t n) {
  std::map<Words, std::size_t> counts;
  for (std::size_t i = 0; i + n <= words.size(); ++i) {
    ++counts[Words(
        words.begin() + static_cast<std::ptrdiff_t>(i),
        words.begin() + static_cast<std::ptrdiff_t>(i + n))];
  }
  return counts;
}

RougeScore score_ngrams(const Words& generated, const Words& reference, std::size_t n) {
  if (generated.size() < n || reference.size() < n) {
    return {};
  }
  const auto reference_counts = count_ngrams(reference, n);
  std::size_t matches = 0;
  for (const auto& [ngram, count] : count_ngrams(generated, n)) {
    const auto found = reference_counts.find(ngram);
    matches += found == reference_counts.end() ? 0 : std::min(count, found->second);
  }
  return score(matches, generated.size() - n + 1, reference.size() - n + 1);
}

std::size_t longest_common_subsequence(const Words& a, const Words& b) {
  std::vector<std::size_t> row(b.size() + 1, 0); // row[j]: of a's words so far and b's first j
  for (const std::string& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

} // namespace

std::vector<std::string> rouge_words(std::string_view text) {
  Words words;
  bool inside = false;
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool counted = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    if (counted && !inside) {
      words.emplace_back();
    }
    if (counted) {
      words.back().push_back(lower);
    }
    inside = counted;
  }
  return words;
}

RougeScores rouge(std::string_view generated, std::string_view reference) {
  const Words a = rouge_words(generated), b = rouge_words(reference);
  return {
      .rouge_1 = score_ngrams(a, b, 1),
      .rouge_2 = score_ngrams(a, b, 2),
      .rouge_l = score(longest_common_subsequence(a, b), a.size(), b.size())};
}

} // namespace fcc
