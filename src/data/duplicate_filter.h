#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "data/append_file.h"

namespace fcc {

/// 128 bits of a text's SHA-256.
struct TextHash {
  std::uint64_t high = 0, low = 0;

  static TextHash of(std::string_view text);
  bool operator==(const TextHash&) const = default;
};

/// The texts seen so far, by hash; the hashes also lie in a file, so that an interrupted run knows
/// them again.
class DuplicateFilter {
 public:
  /// Takes over the first `count` hashes of `path`, which have this checksum (CRC-32).
  /// Errors: `IoError`, `FormatError`.
  DuplicateFilter(const std::filesystem::path& path, std::int64_t count, std::uint32_t checksum);

  /// Remembers `hash`; false if it was there before.
  bool insert(const TextHash& hash);

  /// Puts the new hashes on the disk and tells how many there are in all.
  std::int64_t sync();

  /// Of the hashes that were synced.
  std::uint32_t checksum() const {
    return file_.checksum();
  }

 private:
  struct Mix {
    std::size_t operator()(const TextHash& hash) const {
      return static_cast<std::size_t>(hash.low);
    }
  };

  AppendFile file_;
  std::unordered_set<TextHash, Mix> seen_;
  std::vector<TextHash> unwritten_;
};

} // namespace fcc
