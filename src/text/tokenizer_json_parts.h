#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/bpe_tokenizer.h"
#include "text/tokenizer_json_file.h"

namespace fcc {

// The parts of a tokenizer.json; each function reads one and adds what it says to `spec`.
// Errors: `FormatError`.

/// The ids of a file while it is read: by the token as the file spells it (views into the JSON).
struct TokenNames {
  std::unordered_map<std::string_view, std::int32_t> ids;
  std::vector<bool> taken; ///< by id

  std::optional<std::int32_t> find(std::string_view token) const {
    const auto found = ids.find(token);
    return found == ids.end() ? std::nullopt : std::optional(found->second);
  }
};

/// `model` and `added_tokens`: vocabulary, merges and tokens that are looked for in the text.
TokenNames read_vocabulary(const TokenizerJsonFile& file, const JsonValue& root, BpeSpec& spec);

/// `normalizer`, `pre_tokenizer` and `decoder`: how text is cut into pieces.
void read_splitting(const TokenizerJsonFile& file, const JsonValue& root, BpeSpec& spec);

} // namespace fcc
