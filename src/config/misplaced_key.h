#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// Where a key belongs that stands at `path` (`train.steps`) and is known there by no name: the
/// nearest of `key_paths` (`train.stages.N.steps`) with the same last part, counted in objects on
/// the way. Indices of lists that both go through stay, others are N. Empty if there is none, or
/// more than three.
std::vector<std::string> places_of_key(
    std::string_view path,
    const std::vector<std::string>& key_paths);

/// "did you mean `train.stages.N.steps`?", or "" as above.
std::string misplaced_key_hint(std::string_view path, const std::vector<std::string>& key_paths);

} // namespace fcc
