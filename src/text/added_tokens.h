#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// A token that is looked for in the text itself, before any splitting
/// (Hugging Face's `added_tokens`; tiktoken's special tokens).
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = true;
  bool lstrip = false;     ///< takes the white space before it along
  bool rstrip = false;     ///< takes the white space after it along
  bool normalized = false; ///< looked for after all that are not
};

/// Finds added tokens in text: the leftmost, of those the longest. Immutable.
class AddedTokenFinder {
 public:
  struct Match {
    std::size_t start = 0, end = 0;
    std::int32_t id = 0;
  };

  AddedTokenFinder() = default;
  /// `tokens` must not be empty strings.
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  bool empty() const {
    return tokens_.empty();
  }
  /// The first match at or after `from`, widened by the white space it takes along (to the left as
  /// far as `from`).
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  std::vector<AddedToken> tokens_;         ///< by first byte, longest first
  std::array<std::uint32_t, 257> begin_{}; ///< of the tokens with each first byte
};

} // namespace fcc
