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

/// Finds added tokens in text: the leftmost, of those the longest. Immutable. The time for a text
/// is that of the longest token at each place, however many tokens there are.
class AddedTokenFinder {
 public:
  /// More bytes than any real token has; they bound the time of a search.
  static constexpr std::size_t kMaxTokenBytes = 1024;

  struct Match {
    std::size_t start = 0, end = 0; ///< widened by the white space that the token takes along
    std::int32_t id = 0;
  };
  /// How far a text has been searched; begin with a new one.
  struct Cursor {
    std::size_t done = 0; ///< the text before has been told of: end of the last match
    std::size_t next = 0; ///< where to look on: white space taken along may hold the next token
    std::size_t white_begin = 0, white_end = 0; ///< white space that was measured
  };

  AddedTokenFinder() = default;
  /// `tokens` must not be empty strings, nor longer than `kMaxTokenBytes`.
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  bool empty() const {
    return tokens_.empty();
  }
  /// The next match of a text, which `cursor` then has passed.
  std::optional<Match> find(std::string_view text, Cursor& cursor) const;

 private:
  const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;         ///< in the order of their bytes
  std::array<std::uint32_t, 257> begin_{}; ///< of the tokens with each first byte
};

} // namespace fcc
