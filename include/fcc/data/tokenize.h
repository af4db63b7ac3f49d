#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "fcc/data/corpus.h"

namespace fcc {

class Tokenizer;

/// From a corpus to a token file. The file depends on all but `num_threads`, `sync_bytes` and
/// `restart`.
struct TokenizeOptions {
  std::vector<std::filesystem::path> files;
  CorpusOptions corpus;
  std::filesystem::path output;
  bool add_bos = false;
  bool add_eos = true;         ///< the tokenizer must have an EOS
  std::int64_t min_tokens = 1; ///< of a document with its BOS and EOS
  std::optional<std::int64_t> max_tokens;
  bool deduplicate = false; ///< keeps the first of equal texts (SHA-256, cut to 128 bits)
  std::optional<std::uint64_t> shuffle_seed; ///< documents in an order drawn from it
  std::filesystem::path holdout;             ///< a second token file; empty: none
  double holdout_share = 0.0; ///< of the documents, the last ones: they go there alone
  int num_threads = 1;
  std::int64_t sync_bytes = std::int64_t{64} << 20; ///< text between two points to go on from
  bool restart = false;                             ///< forget what an interrupted run left
};

/// What became of the documents.
struct TokenizeSummary {
  std::int64_t num_documents = 0; ///< read
  std::int64_t num_bytes = 0;     ///< of their texts
  std::int64_t num_empty = 0, num_duplicates = 0, num_too_short = 0, num_too_long = 0; ///< dropped
  std::int64_t num_kept = 0;
  std::int64_t num_tokens = 0;              ///< of those kept
  std::array<std::int64_t, 40> histogram{}; ///< kept ones of 2^i … 2^(i+1) - 1 tokens
};

struct TokenizeProgress {
  TokenizeSummary summary;         ///< so far
  std::int64_t consumed_bytes = 0; ///< of the files, packed as they are
  bool resumed = false;            ///< the run goes on where another was interrupted
};

/// Tokenizes `files` into `output`. Documents are encoded in parallel and kept in order; memory
/// grows with the largest document only (and by about 50 bytes a document where `deduplicate`).
///
/// Until the end everything lies in the folder `OUTPUT.partial`: a run that was killed at any
/// moment goes on from there when it is started again, and ends in the same bytes.
/// Errors: those of `Corpus`; `ConfigError` if the folder belongs to a run with other options or
/// files, or is in use; `Error` if no document is left.
TokenizeSummary tokenize_corpus(
    const TokenizeOptions& options,
    const Tokenizer& tokenizer,
    const std::function<void(const TokenizeProgress&)>& progress = {});

} // namespace fcc
