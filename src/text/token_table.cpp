#include "text/token_table.h"

#include <bit>

#include "text/byte_hash.h"

namespace fcc {

TokenTable::TokenTable(std::span<const std::string> tokens, const std::vector<bool>& indexed) {
  offsets_.push_back(0);
  for (const std::string& token : tokens) {
    bytes_ += token;
    offsets_.push_back(bytes_.size());
  }
  slots_.assign(std::bit_ceil(2 * tokens.size() + 1), -1); // at most half full
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (!indexed[id] || find(tokens[id]) >= 0) {
      continue;
    }
    std::size_t slot = hash_bytes(tokens[id]) & mask;
    while (slots_[slot] >= 0) {
      slot = (slot + 1) & mask;
    }
    slots_[slot] = static_cast<std::int32_t>(id);
  }
}

std::int32_t TokenTable::find(std::string_view token) const {
  if (slots_.empty()) {
    return -1;
  }
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash_bytes(token) & mask;; slot = (slot + 1) & mask) {
    const std::int32_t id = slots_[slot];
    if (id < 0 || (*this)[static_cast<std::size_t>(id)] == token) {
      return id;
    }
  }
}

} // namespace fcc
