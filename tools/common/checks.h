#pragma once

#include <cstdint>
#include <limits>

#include <CLI/CLI.hpp>

namespace fcc::tools {

/// Most segments of a sequence that a command line may ask for, as in a run's configuration.
inline constexpr std::int64_t kMaxSegments = std::int64_t{1} << 24;

/// Lets a whole number in [least, most] pass; anything else is bad usage that names the rule and
/// the value.
CLI::Validator whole_number(
    std::int64_t least,
    std::int64_t most = std::numeric_limits<std::int64_t>::max());

/// Reads `16k` as 16384 and `1m` as 1048576: lengths in tokens are told so.
CLI::Validator binary_thousands();

} // namespace fcc::tools
