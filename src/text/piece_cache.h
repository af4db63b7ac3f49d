#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "text/byte_hash.h"

namespace fcc {

/// Remembers the ids of short pieces that came lately. Direct-mapped: a newer piece takes the place
/// of an older one, so it needs no upkeep and a fixed 2 MiB. An entry is one cache line.
class PieceCache {
 public:
  static constexpr std::size_t kMaxBytes = 30;
  static constexpr std::size_t kMaxIds = 8;

  struct alignas(64) Entry {
    std::uint8_t num_bytes = 0; ///< 0: free
    std::uint8_t num_ids = 0;
    std::array<char, kMaxBytes> bytes;
    std::array<std::int32_t, kMaxIds> ids;
  };
  static_assert(sizeof(Entry) == 64);

  /// The place of `piece` (1 to kMaxBytes bytes), whatever is there now.
  Entry& place(std::string_view piece) {
    return entries_[hash_bytes(piece) >> (64 - kBits)];
  }

  static bool holds(const Entry& entry, std::string_view piece) {
    return entry.num_bytes == piece.size() &&
           std::memcmp(entry.bytes.data(), piece.data(), piece.size()) == 0;
  }

  static void store(Entry& entry, std::string_view piece, std::span<const std::int32_t> ids) {
    if (ids.size() <= kMaxIds) {
      entry.num_bytes = static_cast<std::uint8_t>(piece.size());
      entry.num_ids = static_cast<std::uint8_t>(ids.size());
      std::memcpy(entry.bytes.data(), piece.data(), piece.size());
      std::copy(ids.begin(), ids.end(), entry.ids.begin());
    }
  }

 private:
  static constexpr int kBits = 15;
  std::vector<Entry> entries_ = std::vector<Entry>(std::size_t{1} << kBits);
};

} // namespace fcc
