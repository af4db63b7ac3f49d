#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace fcc {

class DocumentReader;

/// What a file holds. Auto: what its name says or, where that says nothing, its first bytes.
enum class CorpusFormat { kAuto, kText, kJsonl, kParquet };

/// How files become documents.
struct CorpusOptions {
  CorpusFormat format = CorpusFormat::kAuto;
  std::string text_key = "text"; ///< JSONL: the key with the text; Parquet: the column
  std::string separator =
      {}; ///< text: what stands between documents; empty: a file is one document
  std::int64_t max_document_bytes = std::int64_t{256} << 20; ///< also of a JSONL line
  bool allow_invalid_utf8 = false; ///< text: pass broken characters on as they are
};

/// What `corpus_files` left out of folders.
struct PassedOver {
  std::int64_t num_other = 0;    ///< files of other kinds
  std::int64_t num_hidden = 0;   ///< `.git`, `.ipynb_checkpoints`, `__MACOSX`, … and hidden files
  std::int64_t num_repeated = 0; ///< links to folders that are read by another path already
};

/// The files that `inputs` name: files as they are, folders as all of their files (below too, by
/// path; links are followed, each folder is read once) that end, in capitals or not, in `.txt`,
/// `.text`, `.md`, `.jsonl`, `.ndjson` or `.parquet`, or in `.json` where that holds JSON Lines;
/// all but `.parquet` also with `.gz` or `.zst`. A `format` takes the files of its own endings
/// alone. What begins with a dot is passed over in folders.
/// Errors: `ConfigError` on an input that is missing, a folder without such a file, a link that
/// leads nowhere; `IoError` naming a folder that cannot be read. `passed_over`, if given, counts.
std::vector<std::filesystem::path> corpus_files(
    const std::vector<std::filesystem::path>& inputs,
    CorpusFormat format = CorpusFormat::kAuto,
    PassedOver* passed_over = nullptr);

/// Whether this build reads Parquet (the CMake option FCC_PARQUET).
bool corpus_reads_parquet();

/// The documents of a list of files, one after another. The kind of a file shows in its name:
/// `.jsonl` and `.ndjson` (one object a line; blank lines are passed over), `.parquet`, `.txt`,
/// `.text` and `.md`; under other names (pipes too) in its first bytes. gzip and zstd are unpacked
/// on the way; a byte-order mark of UTF-8 at the start is no part of the text.
///
/// Memory is bounded by `max_document_bytes`, whatever a file holds.
/// Errors: `IoError`; `FormatError` with the file and the line, byte or row: corrupt or cut-off
/// compression, broken JSON or UTF-8, a document over the limit; without a `format` also content
/// that contradicts the name (JSON Lines called `.txt`) or is none of the kinds (a JSON array).
class Corpus {
 public:
  /// A place between two documents.
  struct Position {
    std::int64_t file = 0;
    std::int64_t offset = 0; ///< unpacked bytes of the file (Parquet: rows)
    std::int64_t line = 0;   ///< lines or documents of the file
  };

  Corpus(std::vector<std::filesystem::path> files, CorpusOptions options);
  Corpus(std::vector<std::filesystem::path> files, CorpusOptions options, Position position);
  Corpus(Corpus&&) noexcept;
  ~Corpus();

  /// The next document; false at the end.
  bool next(std::string& text);

  /// Where the document came from: `file:line`.
  const std::string& where() const {
    return where_;
  }

  /// Behind the last document.
  Position position() const;

  /// Bytes of the files (packed as they are) that were read: how far it is.
  std::int64_t consumed_bytes() const;

 private:
  std::vector<std::filesystem::path> files_;
  CorpusOptions options_;
  Position position_;
  std::int64_t finished_bytes_ = 0; ///< of the files before `position_.file`
  std::unique_ptr<DocumentReader> reader_;
  std::string where_;
};

} // namespace fcc
