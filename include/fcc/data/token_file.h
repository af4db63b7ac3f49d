#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fcc/core/dtype.h"

namespace fcc {

class CheckedStretch;
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
/// `document_starts` (I64, `[documents]`: the first token of each document), `checksums` (absent in
/// older files) and metadata (`format: fcc_tokens`, `version: 1`, the fields of `TokenFileInfo`).
///
/// Opening reads `document_starts` (from 0, ascending, inside; 8 bytes of memory a document);
/// tokens are read and checked where they are asked for, each block of 1 MiB against its checksum
/// when it is first used. Safe to share between threads.
/// Errors: `IoError` (a file that was cut off later, too), `FormatError` naming the file.
class TokenFile {
 public:
  explicit TokenFile(const std::filesystem::path& path);

  const TokenFileInfo& info() const {
    return info_;
  }
  /// See `file_fingerprint`.
  const std::string& fingerprint() const {
    return fingerprint_;
  }
  /// Whether the file has checksums.
  bool has_checksums() const {
    return has_checksums_;
  }
  /// Compares the whole file with its checksums. Errors: `FormatError` where one differs.
  void verify() const;

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
  std::string where_, fingerprint_;
  TokenFileInfo info_;
  DType dtype_ = DType::kU16;
  std::int64_t num_tokens_ = 0, num_documents_ = 0;
  std::int64_t tokens_begin_ = 0; ///< in `content_`
  bool has_checksums_ = false;
  std::shared_ptr<const CheckedStretch> content_; ///< all tensors but the checksums
  std::shared_ptr<const std::vector<std::int64_t>> starts_;
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
