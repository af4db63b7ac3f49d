#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fcc {

class Tokenizer;

bool is_space(char c);

/// The space between pieces, or nothing where the tokenizer puts one before every text: its tokens
/// for " 1" then differ from those that "0 1" ends with.
std::string space_between_pieces(const Tokenizer& tokenizer);

/// `text` behind `space`, unless it is empty or brings whitespace of its own.
std::string begun(const std::string& space, const std::string& text);

/// `text` with `value` wherever it has `placeholder`.
std::string with_text(std::string text, std::string_view placeholder, const std::string& value);

/// The key of sample `index`: uniform, the first digit is not 0.
std::string draw_digits(std::int64_t num_digits, std::uint64_t seed, std::int64_t index);

} // namespace fcc
