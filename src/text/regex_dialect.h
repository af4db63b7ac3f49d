#pragma once

#include <string>
#include <string_view>

namespace fcc {

/// Which characters count as letters, digits … in a pattern.
enum class UnicodeTables {
  kLibrary,       ///< PCRE2's own
  kWithAdditions, ///< with the characters of unicode_additions.h
};

/// Rewrites a tokenizer's split pattern, written for Oniguruma or Rust's fancy-regex, for PCRE2.
///
/// The three read alike what these patterns use (groups, look-around, classes, quantifiers,
/// `\p{…}`, `\s`, `\d`). What they read differently (`\w`, `\b`, `\h`, class arithmetic, nested
/// classes …) is refused by name. Errors: `FormatError` at `where`.
std::string to_pcre2(std::string_view pattern, UnicodeTables tables, const std::string& where);

} // namespace fcc
