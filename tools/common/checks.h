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

/// The same for seeds: 0 to 2^64 - 1. (Without it -1 would be taken for the largest.)
CLI::Validator seed_number();

/// Reads `64MB`, `2GiB` or a number of bytes; `kb_is_1000`: whether 1 KB is 1000 bytes. Nothing
/// negative passes.
CLI::Validator size_in_bytes(bool kb_is_1000);

/// Reads `16k` as 16384 and `1m` as 1048576: lengths in tokens are told so.
CLI::Validator binary_thousands();

} // namespace fcc::tools
