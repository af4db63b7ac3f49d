#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fcc {

class Random;
class Tokenizer;

/// How rows that are made of texts join them: each text is tokenised apart, and begins with one
/// space unless it brings whitespace of its own.

bool is_space(char c);

/// The space between pieces, or nothing where the tokenizer puts one before every text: its tokens
/// for " 1" then differ from those that "0 1" ends with.
std::string space_between_pieces(const Tokenizer& tokenizer);

/// `text` with `space` before it, unless it is empty or begins with whitespace.
std::string begun(const std::string& space, const std::string& text);

/// Without whitespace at both ends.
std::string trimmed(std::string text);

/// `text` with every `mark` replaced.
std::string replaced(std::string text, const std::string& mark, const std::string& by);

/// `count` characters, each drawn from `alphabet`.
std::string draw_from(std::string_view alphabet, std::int64_t count, Random& random);

} // namespace fcc
