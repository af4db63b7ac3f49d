#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/byte_source.h"
#include "fcc/data/corpus.h"

namespace fcc {

/// The documents of one file.
class DocumentReader {
 public:
  virtual ~DocumentReader() = default;

  /// The next document; false at the end. `where` becomes `file:line`, in errors too.
  virtual bool next(std::string& text, std::string& where) = 0;

  /// Behind the last document: see `Corpus::Position`.
  virtual std::int64_t offset() const = 0;
  virtual std::int64_t line() const = 0;

  /// Bytes of the file that were read.
  virtual std::int64_t consumed_bytes() const = 0;
};

/// The documents of `source`, from a place that `offset()` and `line()` told. `path` names it.
std::unique_ptr<DocumentReader> open_text_documents(
    std::unique_ptr<ByteSource> source,
    const std::filesystem::path& path,
    const CorpusOptions& options,
    std::int64_t offset,
    std::int64_t line);
std::unique_ptr<DocumentReader> open_jsonl_documents(
    std::unique_ptr<ByteSource> source,
    const std::filesystem::path& path,
    const CorpusOptions& options,
    std::int64_t offset,
    std::int64_t line);

/// The names of a Parquet file's columns. Errors: as `open_parquet_documents`.
std::vector<std::string> parquet_columns(const std::filesystem::path& path);

/// Errors: `ConfigError` in a build without Parquet.
std::unique_ptr<DocumentReader> open_parquet_documents(
    const std::filesystem::path& path,
    const CorpusOptions& options,
    std::int64_t row);

} // namespace fcc
