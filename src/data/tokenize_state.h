#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "fcc/data/corpus.h"
#include "fcc/data/token_spool.h"
#include "fcc/data/tokenize.h"

namespace fcc {

class Tokenizer;

/// How far a run has come: all that it needs to go on, beside the spool's files.
struct TokenizeState {
  Corpus::Position position;
  TokenSpool::Size size;
  std::int64_t num_hashes = 0;
  std::uint32_t hashes_checksum = 0; ///< CRC-32
  TokenizeSummary summary;
};

/// Everything that decides the bytes of the token file, as JSON text: files with size and time,
/// options, tokenizer. A run goes on only with the same.
std::string tokenize_fingerprint(const TokenizeOptions& options, const Tokenizer& tokenizer);

void save_tokenize_state(
    const std::filesystem::path& path,
    const std::string& fingerprint,
    const TokenizeState& state);

/// Absent if there is no file. Errors: `FormatError` on a file that was damaged; `ConfigError` if
/// the fingerprint differs, telling the first key that does.
std::optional<TokenizeState> load_tokenize_state(
    const std::filesystem::path& path,
    const std::string& fingerprint);

} // namespace fcc
