#include "data/text_pieces.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <vector>

#include "fcc/core/random.h"
#include "fcc/text/tokenizer.h"

namespace fcc {

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

std::string space_between_pieces(const Tokenizer& tokenizer) {
  const std::vector<std::int32_t> joined = tokenizer.encode("0 1"), apart = tokenizer.encode(" 1");
  const bool equal =
      apart.size() <= joined.size() && std::equal(apart.rbegin(), apart.rend(), joined.rbegin());
  return equal ? " " : "";
}

std::string begun(const std::string& space, const std::string& text) {
  return text.empty() || is_space(text.front()) ? text : space + text;
}

std::string trimmed(std::string text) {
  while (!text.empty() && is_space(text.back())) {
    text.pop_back();
  }
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  return text;
}

std::string replaced(std::string text, const std::string& mark, const std::string& by) {
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    text.replace(at, mark.size(), by);
    at += by.size();
  }
  return text;
}

std::string draw_from(std::string_view alphabet, std::int64_t count, Random& random) {
  std::string text;
  for (std::int64_t i = 0; i < count; ++i) {
    text += alphabet[static_cast<std::size_t>(
        random.below(static_cast<std::int64_t>(alphabet.size())))];
  }
  return text;
}

} // namespace fcc
