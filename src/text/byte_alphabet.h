#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fcc {

/// GPT-2's printable alphabet of bytes: every byte is one character in the vocabulary's JSON. The
/// bytes `!`..`~`, `¡`..`¬` and `®`..`ÿ` (as Latin-1) are themselves; the other 68, in order, are
/// U+0100, U+0101, … (space is `Ġ`).
///
/// The bytes that `characters` stands for; absent if one of them is not in the alphabet.
std::optional<std::string> bytes_of_alphabet(std::string_view characters);

/// The inverse: the characters that stand for `bytes`.
std::string alphabet_of_bytes(std::string_view bytes);

} // namespace fcc
