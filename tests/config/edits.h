#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fcc::test {

/// Every insertion and substitution of one of `letters`, deletion, and swap of neighbours.
inline std::vector<std::string> edits_of(const std::string& word, const std::string& letters) {
  std::set<std::string> edits;
  for (std::size_t i = 0; i <= word.size(); ++i) {
    for (const char letter : letters) {
      edits.insert(word.substr(0, i) + letter + word.substr(i));
      if (i < word.size()) {
        edits.insert(word.substr(0, i) + letter + word.substr(i + 1));
      }
    }
    if (i < word.size()) {
      edits.insert(word.substr(0, i) + word.substr(i + 1));
    }
    if (i + 1 < word.size()) {
      std::string swapped = word;
      std::swap(swapped[i], swapped[i + 1]);
      edits.insert(swapped);
    }
  }
  edits.erase(word);
  edits.erase("");
  return {edits.begin(), edits.end()};
}

} // namespace fcc::test
