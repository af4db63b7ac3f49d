#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "fcc/core/dtype.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"

namespace fcc {

class Tokenizer;

/// What a token file says of the tokenizer that made it.
struct TokenFileInfo {
  std::string tokenizer_kind;
  std::string tokenizer_hash;
  std::int64_t vocab_size = 0;
  bool add_bos = false; ///< every document begins with BOS
  bool add_eos = true;  ///< every document ends with EOS
};

/// The description of what `tokenizer` makes.
TokenFileInfo token_file_info(const Tokenizer& tokenizer, bool add_bos, bool add_eos);

/// A corpus of token ids: a safetensors file with `tokens` (U16 or U32, `[tokens]`),
/// `document_starts` (I64, `[documents]`: the first token of each document) and metadata
/// (`format: fcc_tokens`, `version: 1`, the fields of `TokenFileInfo`).
///
/// Mapped into memory: opening reads `document_starts` once (from 0, ascending, inside), tokens
/// are read and checked where they are asked for. Safe to share between threads.
/// Errors: `IoError`, `FormatError` naming the file.
class TokenFile {
 public:
  explicit TokenFile(const std::filesystem::path& path);

  const TokenFileInfo& info() const {
    return info_;
  }
  /// See `file_fingerprint`.
  std::string fingerprint() const {
    return file_fingerprint(file_.bytes());
  }
  DType dtype() const {
    return dtype_;
  }
  std::int64_t num_tokens() const {
    return num_tokens_;
  }
  std::int64_t num_documents() const {
    return num_documents_;
  }

  /// First token of document `d`, and one past its last. 0 <= d < num_documents().
  std::int64_t document_begin(std::int64_t d) const;
  std::int64_t document_end(std::int64_t d) const;

  /// The document that token `position` belongs to: O(log documents).
  std::int64_t document_of(std::int64_t position) const;

  /// Copies the ids from `position` on; position + ids.size() <= num_tokens().
  /// Errors: `FormatError` on an id that is not below the vocabulary size.
  void read(std::int64_t position, std::span<std::int32_t> ids) const;

  /// Errors: `ConfigError` telling both hashes, unless the file was made by this tokenizer.
  void require_tokenizer(const Tokenizer& tokenizer) const;

 private:
  std::string where_;
  SafetensorsFile file_;
  TokenFileInfo info_;
  DType dtype_ = DType::kU16;
  std::int64_t num_tokens_ = 0, num_documents_ = 0;
  const std::byte* tokens_ = nullptr;
  const std::byte* starts_ = nullptr;
};

/// Documents whose ids do not begin and end as the file says: BOS or EOS missing where it says so,
/// doubled, or there although it says no.
struct MarkReport {
  std::int64_t missing_bos = 0, doubled_bos = 0, surplus_bos = 0;
  std::int64_t missing_eos = 0, doubled_eos = 0;
  std::int64_t first_bad_bos = -1; ///< a document; -1: none

  bool good() const {
    return missing_bos + doubled_bos + surplus_bos + missing_eos + doubled_eos == 0;
  }
};

/// Looks at the first `max_documents` documents. A mark that the tokenizer lacks is not looked for.
/// Errors: those of `TokenFile::read`.
MarkReport check_marks(
    const TokenFile& file,
    const Tokenizer& tokenizer,
    std::int64_t max_documents = std::numeric_limits<std::int64_t>::max());

/// U16 where the vocabulary fits, else U32.
DType token_dtype(std::int64_t vocab_size);

} // namespace fcc
