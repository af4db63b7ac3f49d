#include "fcc/eval/rouge.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include "eval/porter_stemmer.h"

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

/// Marks the words of `reference` that one of its longest common subsequences with `sentence`
/// holds; of several, the one that `rouge-score` walks back along.
void mark_common(const Words& reference, const Words& sentence, std::vector<bool>& marked) {
  const std::size_t width = sentence.size();
  std::vector<std::uint32_t> above(width + 1, 0), row(width + 1, 0);
  std::vector<bool> goes_left(reference.size() * width); // where the words differ
  for (std::size_t i = 0; i < reference.size(); ++i) {
    for (std::size_t j = 0; j < width; ++j) {
      row[j + 1] = reference[i] == sentence[j] ? above[j] + 1 : std::max(above[j + 1], row[j]);
      goes_left[i * width + j] = row[j] > above[j + 1];
    }
    std::swap(above, row);
  }
  for (std::size_t i = reference.size(), j = width; i > 0 && j > 0;) {
    if (reference[i - 1] == sentence[j - 1]) {
      marked[--i] = true;
      --j;
    } else if (goes_left[(i - 1) * width + j - 1]) {
      --j;
    } else {
      --i;
    }
  }
}

std::vector<Words> sentence_words(std::string_view text, const RougeOptions& options) {
  std::vector<Words> sentences;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) {
      sentences.push_back(rouge_words(text.substr(begin, end - begin), options));
    }
    begin = end + 1;
  }
  return sentences;
}

/// Summary-level LCS: for each sentence of the reference the union of what it has in common with
/// each generated one; no word is counted more often than either text has it.
RougeScore score_sentences(
    const std::vector<Words>& generated,
    const std::vector<Words>& reference) {
  std::map<std::string, std::size_t> left_generated, left_reference;
  std::size_t num_generated = 0, num_reference = 0, hits = 0;
  for (const Words& sentence : generated) {
    num_generated += sentence.size();
    for (const std::string& word : sentence) {
      ++left_generated[word];
    }
  }
  for (const Words& sentence : reference) {
    num_reference += sentence.size();
    for (const std::string& word : sentence) {
      ++left_reference[word];
    }
  }
  for (const Words& sentence : reference) {
    std::vector<bool> marked(sentence.size());
    for (const Words& other : generated) {
      mark_common(sentence, other, marked);
    }
    for (std::size_t i = 0; i < sentence.size(); ++i) {
      std::size_t& there = left_generated[sentence[i]];
      std::size_t& here = left_reference[sentence[i]];
      if (marked[i] && there > 0 && here > 0) {
        --there;
        --here;
        ++hits;
      }
    }
  }
  return score(hits, num_generated, num_reference);
}

/// The ASCII letter, in lower case, or digit that `text` begins with, seen as Python's
/// `str.lower` does; '\0' where it begins with something else. `size`: bytes it takes.
char lower_letter(std::string_view text, std::size_t& size) {
  const char c = text.front();
  size = 1;
  if (c >= 'A' && c <= 'Z') {
    return static_cast<char>(c - 'A' + 'a');
  }
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
    return c;
  }
  if (text.starts_with("\xe2\x84\xaa")) { // the Kelvin sign
    size = 3;
    return 'k';
  }
  return '\0';
}

} // namespace

std::vector<std::string> rouge_words(std::string_view text, const RougeOptions& options) {
  Words words;
  bool inside = false;
  const auto add = [&](char letter) {
    if (!inside) {
      words.emplace_back();
    }
    words.back().push_back(letter);
    inside = true;
  };
  while (!text.empty()) {
    std::size_t size = 1;
    if (const char letter = lower_letter(text, size); letter != '\0') {
      add(letter);
    } else if (text.starts_with("\xc4\xb0")) { // I with a dot: `i` and a dot that is no letter
      size = 2;
      add('i');
      inside = false;
    } else {
      inside = false;
    }
    text.remove_prefix(size);
  }
  if (options.stem) {
    for (std::string& word : words) {
      word = word.size() > 3 ? porter_stem(std::move(word)) : std::move(word);
    }
    std::erase(words, "");
  }
  return words;
}

RougeScores
rouge(std::string_view generated, std::string_view reference, const RougeOptions& options) {
  const Words a = rouge_words(generated, options), b = rouge_words(reference, options);
  return {
      .rouge_1 = score_ngrams(a, b, 1),
      .rouge_2 = score_ngrams(a, b, 2),
      .rouge_l = score(longest_common_subsequence(a, b), a.size(), b.size()),
      .rouge_lsum =
          score_sentences(sentence_words(generated, options), sentence_words(reference, options))};
}

std::string rouge_json(const RougeScores& scores) {
  const auto json = [](const RougeScore& one) -> nlohmann::json {
    return {{"precision", one.precision}, {"recall", one.recall}, {"f1", one.f1}};
  };
  return nlohmann::json{
      {"rouge_1", json(scores.rouge_1)},
      {"rouge_2", json(scores.rouge_2)},
      {"rouge_l", json(scores.rouge_l)},
      {"rouge_lsum", json(scores.rouge_lsum)}}
      .dump();
}

} // namespace fcc
