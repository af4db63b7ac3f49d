#include "data/passkey_text.h"

#include <algorithm>
#include <cctype>
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

std::string with_text(std::string text, std::string_view placeholder, const std::string& value) {
  for (std::size_t at = text.find(placeholder); at != std::string::npos;
       at = text.find(placeholder, at)) {
    text.replace(at, placeholder.size(), value);
    at += value.size();
  }
  return text;
}

std::string draw_digits(std::int64_t num_digits, std::uint64_t seed, std::int64_t index) {
  Random random(seed, static_cast<std::uint64_t>(index));
  std::string digits;
  for (std::int64_t i = 0; i < num_digits; ++i) {
    const bool leading = i == 0 && num_digits > 1;
    digits += static_cast<char>('0' + (leading ? 1 + random.below(9) : random.below(10)));
  }
  return digits;
}

} // namespace fcc
