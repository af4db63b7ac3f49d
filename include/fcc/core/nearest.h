#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// Insertions, deletions and substitutions of one character that turn `a` into `b` (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate most alike to `name`, or an empty string if none is near enough to be a slip of
/// the pen (more than a third of its characters differ, at least two).
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

/// "did you mean `…`?" for `nearest`, or an empty string: a hint for errors.
std::string nearest_hint(std::string_view name, const std::vector<std::string>& candidates);

} // namespace fcc
