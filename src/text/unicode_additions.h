#pragma once

#include <string>
#include <string_view>

namespace fcc {

/// Characters that came to Unicode after version 14, which PCRE2 10.42 has, up to version 16, which
/// Hugging Face tokenizers 0.23 and tiktoken 0.14 have. Only split patterns look at them.

/// Whether `text` (valid UTF-8) holds a character that PCRE2's tables class differently: one of
/// those added since, or U+180E, which is white space to PCRE2 alone.
bool has_unicode_additions(std::string_view text);

/// The added characters of a general category (`Lu`) or a group of them (`L`), as ranges for the
/// inside of a PCRE2 class: `\x{1C89}\x{A7CB}-\x{A7CC}…`.
std::string unicode_additions_of(std::string_view category);

} // namespace fcc
