#include "eval/porter_stemmer.h"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace fcc {
namespace {

bool is_vowel(char c) {
  return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

/// Whether the letter at `i` is a consonant: `y` is one at the start and behind a vowel.
bool is_consonant(std::string_view word, std::size_t i) {
  bool consonant = true; // of a `y`: turned by each before it
  while (word[i] == 'y' && i > 0) {
    consonant = !consonant;
    --i;
  }
  return word[i] == 'y' || !is_vowel(word[i]) ? consonant : !consonant;
}

/// m of [C](VC)^m[V].
int measure(std::string_view stem) {
  int count = 0;
  bool before = true; // consonant
  for (std::size_t i = 0; i < stem.size(); ++i) {
    const bool consonant = stem[i] == 'y' ? i == 0 || !before : !is_vowel(stem[i]);
    count += i > 0 && consonant && !before ? 1 : 0;
    before = consonant;
  }
  return count;
}

bool contains_vowel(std::string_view stem) {
  bool before = false; // consonant
  for (std::size_t i = 0; i < stem.size(); ++i) {
    before = stem[i] == 'y' ? i == 0 || !before : !is_vowel(stem[i]);
    if (!before) {
      return true;
    }
  }
  return false;
}

bool ends_double_consonant(std::string_view word) {
  const std::size_t size = word.size();
  return size >= 2 && word[size - 1] == word[size - 2] && is_consonant(word, size - 1);
}

/// Consonant, vowel, consonant other than w, x, y; of two letters (NLTK's) vowel, consonant.
bool ends_cvc(std::string_view word) {
  const std::size_t size = word.size();
  if (size == 2) {
    return !is_consonant(word, 0) && is_consonant(word, 1);
  }
  return size >= 3 && is_consonant(word, size - 3) && !is_consonant(word, size - 2) &&
         is_consonant(word, size - 1) && word[size - 1] != 'w' && word[size - 1] != 'x' &&
         word[size - 1] != 'y';
}

std::string_view without(std::string_view word, std::size_t suffix_size) {
  return word.substr(0, word.size() - suffix_size);
}

struct Rule {
  std::string_view suffix, replacement;
};

/// The first rule whose suffix the word has replaces it where the stem's measure is above `above`.
std::string apply(std::string word, std::span<const Rule> rules, int above) {
  for (const Rule& rule : rules) {
    if (word.ends_with(rule.suffix)) {
      const std::string_view stem = without(word, rule.suffix.size());
      return measure(stem) > above ? std::string(stem) + std::string(rule.replacement) : word;
    }
  }
  return word;
}

std::string step_1a(std::string word) {
  if (word.ends_with("ies")) {
    return std::string(without(word, word.size() == 4 ? 1 : 2)); // NLTK: dies, die
  }
  if (word.ends_with("sses")) {
    return std::string(without(word, 2));
  }
  return word.ends_with('s') && !word.ends_with("ss") ? std::string(without(word, 1)) : word;
}

std::string step_1b(std::string word) {
  if (word.ends_with("ied")) {
    return std::string(without(word, word.size() == 4 ? 1 : 2)); // NLTK: died, die
  }
  if (word.ends_with("eed")) {
    return measure(without(word, 3)) > 0 ? std::string(without(word, 1)) : word;
  }
  std::string stem;
  for (const std::string_view suffix : {"ed", "ing"}) {
    if (word.ends_with(suffix) && contains_vowel(without(word, suffix.size()))) {
      stem = without(word, suffix.size());
      break;
    }
  }
  if (stem.empty()) {
    return word;
  }
  if (stem.ends_with("at") || stem.ends_with("bl") || stem.ends_with("iz")) {
    return stem + "e";
  }
  if (ends_double_consonant(stem)) {
    const char last = stem.back();
    return last == 'l' || last == 's' || last == 'z' ? stem : std::string(without(stem, 1));
  }
  return measure(stem) == 1 && ends_cvc(stem) ? stem + "e" : stem;
}

/// NLTK: only behind a consonant that does not stand alone, so that `enjoy` stays and `fly` does
/// not.
std::string step_1c(std::string word) {
  if (word.size() > 2 && word.ends_with('y') && is_consonant(word, word.size() - 2)) {
    word.back() = 'i';
  }
  return word;
}

std::string step_2(std::string word) {
  constexpr std::array<Rule, 21> kRules{{{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},
                                         {"anci", "ance"},   {"izer", "ize"},    {"bli", "ble"},
                                         {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},
                                         {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
                                         {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"},
                                         {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
                                         {"iviti", "ive"},   {"biliti", "ble"},  {"fulli", "ful"}}};
  // NLTK: `-ally` leaves a word to which the step is applied again.
  if (word.ends_with("alli") && measure(without(word, 4)) > 0) {
    return step_2(std::string(without(word, 2)));
  }
  if (word.ends_with("logi")) { // the `l` counts
    return measure(without(word, 3)) > 0 ? std::string(without(word, 1)) : word;
  }
  return apply(std::move(word), kRules, 0);
}

std::string step_3(std::string word) {
  constexpr std::array<Rule, 7> kRules{
      {{"icate", "ic"},
       {"ative", ""},
       {"alize", "al"},
       {"iciti", "ic"},
       {"ical", "ic"},
       {"ful", ""},
       {"ness", ""}}};
  return apply(std::move(word), kRules, 0);
}

std::string step_4(std::string word) {
  constexpr std::array<Rule, 18> kRules{
      {{"al", ""},
       {"ance", ""},
       {"ence", ""},
       {"er", ""},
       {"ic", ""},
       {"able", ""},
       {"ible", ""},
       {"ant", ""},
       {"ement", ""},
       {"ment", ""},
       {"ent", ""},
       {"ou", ""},
       {"ism", ""},
       {"ate", ""},
       {"iti", ""},
       {"ous", ""},
       {"ive", ""},
       {"ize", ""}}};
  if (word.ends_with("ion")) {
    const std::string_view stem = without(word, 3);
    const bool removed = measure(stem) > 1 && (stem.back() == 's' || stem.back() == 't');
    return removed ? std::string(stem) : word;
  }
  return apply(std::move(word), kRules, 1);
}

std::string step_5(std::string word) {
  if (word.ends_with('e')) {
    const std::string_view stem = without(word, 1);
    const int m = measure(stem);
    if (m > 1 || (m == 1 && !ends_cvc(stem))) {
      word = stem;
    }
  }
  if (word.ends_with("ll") && measure(without(word, 1)) > 1) {
    word.pop_back();
  }
  return word;
}

} // namespace

std::string porter_stem(std::string word) {
  // NLTK's irregular forms.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kIrregular{
      {{"sky", "sky"},
       {"skies", "sky"},
       {"dying", "die"},
       {"lying", "lie"},
       {"tying", "tie"},
       {"news", "news"},
       {"innings", "inning"},
       {"inning", "inning"},
       {"outings", "outing"},
       {"outing", "outing"},
       {"cannings", "canning"},
       {"canning", "canning"},
       {"howe", "howe"},
       {"proceed", "proceed"}}};
  for (const auto& [form, stem] : kIrregular) {
    if (word == form) {
      return std::string(stem);
    }
  }
  if (word == "exceed" || word == "succeed" || word.size() <= 2) {
    return word;
  }
  return step_5(step_4(step_3(step_2(step_1c(step_1b(step_1a(std::move(word))))))));
}

} // namespace fcc
