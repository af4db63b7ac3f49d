#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fcc {

/// What a tokenizer's own file says, for the reading of the files beside it.
struct KnownTokens {
  std::function<std::optional<std::int32_t>(std::string_view)> find; ///< a token's id by its name
  std::int64_t vocab_size = 0;
  std::optional<std::int32_t> bos, eos; ///< as the own file says
  /// The own file's word is the last one (SentencePiece, tiktoken); else it holds only where
  /// tokenizer_config.json and special_tokens_map.json are silent.
  bool own_goes_first = false;
  std::string own_file; ///< the name under which the own file is saved
};

/// Which tokens begin and end a text, as the files of a Hugging Face directory say, and the files
/// that a copy of the tokenizer should bring along.
struct TokenSettings {
  std::optional<std::int32_t> bos, eos;
  /// Neither token was found, and no file says that there is none.
  bool may_guess_bos = false, may_guess_eos = false;
  std::vector<std::int32_t> ends;                         ///< where generation stops beside `eos`
  std::vector<std::pair<std::string, std::string>> files; ///< names and contents
};

/// `eos`, if there is one, and the others of `ends`: no id twice.
std::vector<std::int32_t> joined_ends(
    std::optional<std::int32_t> eos,
    const std::vector<std::int32_t>& ends);

/// Reads what lies in `directory`: `tokenizer_config.json`, `special_tokens_map.json`, then the ids
/// of `generation_config.json` and `config.json`. The first that names a token decides; null is
/// passed over for EOS (GPT-2's and Qwen's families name it elsewhere) and means none for BOS.
/// Errors: `FormatError` if a file is malformed or names an EOS that the vocabulary lacks.
TokenSettings read_token_settings(const std::filesystem::path& directory, const KnownTokens& known);

/// Sets `bos_token_id` and `eos_token_id` of the `config.json` in `directory`, if there is one, and
/// of its `generation_config.json`, which is made where absent: without them, Hugging Face
/// transformers generate past the end. Several `ends` become a list. Errors: `FormatError`,
/// `IoError`.
void write_token_ids(
    const std::filesystem::path& directory,
    std::optional<std::int32_t> bos,
    const std::vector<std::int32_t>& ends);

} // namespace fcc
