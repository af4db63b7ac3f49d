#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// The bytes of every token, in one block, with a hash index from bytes to id.
class TokenTable {
 public:
  TokenTable() = default;
  /// `tokens[id]` are the bytes of `id`; ids with `indexed[id]` false are not found by `find`.
  /// Of equal tokens the first is found.
  TokenTable(std::span<const std::string> tokens, const std::vector<bool>& indexed);

  std::size_t size() const {
    return offsets_.empty() ? 0 : offsets_.size() - 1;
  }
  std::string_view operator[](std::size_t id) const {
    return std::string_view(bytes_).substr(offsets_[id], offsets_[id + 1] - offsets_[id]);
  }
  /// The id of `token`, or -1.
  std::int32_t find(std::string_view token) const;

 private:
  std::string bytes_;
  std::vector<std::uint64_t> offsets_; // [size + 1]
  std::vector<std::int32_t> slots_;    ///< open addressing, linear probing; -1: free
};

} // namespace fcc
