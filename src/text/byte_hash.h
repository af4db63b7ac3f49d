#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace fcc {

/// A quick hash of short strings, for tables in memory only (not stable, not against attackers;
/// the tables that use it are bounded by a file's size).
inline std::uint64_t hash_bytes(std::string_view bytes) {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15u; // 2^64 / golden ratio
  const char* p = bytes.data();
  const std::size_t size = bytes.size();
  const auto load = [](const char* from, std::size_t width) {
    std::uint64_t value = 0;
    std::memcpy(&value, from, width);
    return value;
  };
  std::uint64_t hash = size * kFactor;
  const auto mix = [&](std::uint64_t value) {
    hash = (hash ^ value) * kFactor;
    hash ^= hash >> 32;
  };
  if (size >= 8) {
    for (std::size_t i = 0; i + 8 < size; i += 8) {
      mix(load(p + i, 8));
    }
    mix(load(p + size - 8, 8)); // overlaps what came before
  } else if (size >= 4) {
    mix(load(p, 4) | load(p + size - 4, 4) << 32);
  } else if (size > 0) {
    mix(load(p, 1) | load(p + size / 2, 1) << 8 | load(p + size - 1, 1) << 16);
  }
  return hash;
}

} // namespace fcc
