#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <arrow/memory_pool.h>
#include <parquet/api/reader.h>

#include "data/document_reader.h"
#include "fcc/core/error.h"
#include "text/utf8.h"

namespace fcc {
namespace {

/// Rows asked for at a time; their bytes stay valid until the next are asked for.
constexpr std::int64_t kBatchRows = 64;

/// A column of texts, read page by page: memory is bounded by the size of a page, and that by a
/// limit on what the library may allocate. A row without a value is an empty document.
class ParquetDocuments final : public DocumentReader {
 public:
  ParquetDocuments(
      const std::filesystem::path& path,
      const CorpusOptions& options,
      std::int64_t row)
      : where_(path.string()),
        options_(options),
        pool_(arrow::default_memory_pool(), 4 * options.max_document_bytes + kReserveBytes),
        row_(row) {
    guarded([&] {
      parquet::ReaderProperties properties(&pool_);
      properties.enable_buffered_stream(); // a column chunk is not read as a whole
      file_ = parquet::ParquetFileReader::OpenFile(where_, /*memory_map=*/false, properties);
      const std::shared_ptr<parquet::FileMetaData> metadata = file_->metadata();
      num_rows_ = metadata->num_rows();
      std::error_code error;
      const auto size = std::filesystem::file_size(path, error);
      file_bytes_ = error ? 0 : static_cast<std::int64_t>(size);
      find_column(*metadata);
      seek(*metadata);
    });
  }

  bool next(std::string& text, std::string& where) override {
    while (at_ == num_levels_) {
      if (!guarded([&] { return read_batch(); })) {
        return false;
      }
    }
    ++row_;
    where = where_ + ", row " + std::to_string(row_);
    const bool present = definition_levels_[at_++] == max_definition_level_;
    if (!present) {
      text.clear();
      return true;
    }
    const parquet::ByteArray& value = values_[value_at_++];
    if (static_cast<std::int64_t>(value.len) > options_.max_document_bytes) {
      throw FormatError(
          where,
          "a document may have at most " + std::to_string(options_.max_document_bytes) + " bytes",
          std::to_string(value.len),
          "--max-document-bytes sets the limit");
    }
    text.assign(reinterpret_cast<const char*>(value.ptr), value.len);
    if (!options_.allow_invalid_utf8 && valid_utf8_prefix(text) < text.size()) {
      throw FormatError(
          where,
          "text must be UTF-8",
          "a broken character at byte " + std::to_string(valid_utf8_prefix(text)),
          "--allow-invalid-utf8 passes it on as it is");
    }
    return true;
  }

  std::int64_t offset() const override {
    return row_;
  }
  std::int64_t line() const override {
    return row_;
  }
  std::int64_t consumed_bytes() const override {
    const double share =
        num_rows_ > 0 ? static_cast<double>(row_) / static_cast<double>(num_rows_) : 1.0;
    return static_cast<std::int64_t>(share * static_cast<double>(file_bytes_));
  }

 private:
  /// What the library needs beside a page of documents.
  static constexpr std::int64_t kReserveBytes = std::int64_t{64} << 20;

  /// The library's exceptions as ours.
  template <typename Body>
  auto guarded(Body body) -> decltype(body()) {
    try {
      return body();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      throw FormatError(
          where_,
          "the Parquet file is corrupt or too large",
          std::string(error.what()).substr(0, 300),
          "a page may take four times --max-document-bytes");
    }
  }

  void find_column(const parquet::FileMetaData& metadata) {
    column_ = metadata.schema()->ColumnIndex(options_.text_key);
    if (column_ < 0) {
      throw FormatError(
          where_,
          "must have the column `" + options_.text_key + "`",
          "none",
          "--text-key names it");
    }
    const parquet::ColumnDescriptor* column = metadata.schema()->Column(column_);
    if (column->physical_type() != parquet::Type::BYTE_ARRAY ||
        column->max_repetition_level() > 0) {
      throw FormatError(where_, "column `" + options_.text_key + "` must hold one text a row");
    }
    max_definition_level_ = column->max_definition_level();
  }

  /// To `row_`: row groups are passed over by their sizes.
  void seek(const parquet::FileMetaData& metadata) {
    std::int64_t left = row_;
    while (group_ < metadata.num_row_groups() && left >= metadata.RowGroup(group_)->num_rows()) {
      left -= metadata.RowGroup(group_++)->num_rows();
    }
    if (left > 0 && group_ < metadata.num_row_groups()) {
      open_group();
      reader_->Skip(left);
    }
  }

  void open_group() {
    reader_ = std::dynamic_pointer_cast<parquet::ByteArrayReader>(
        file_->RowGroup(group_++)->Column(column_));
    if (!reader_) {
      throw FormatError(where_, "column `" + options_.text_key + "` must hold one text a row");
    }
  }

  bool read_batch() {
    while (!reader_ || !reader_->HasNext()) {
      if (group_ == file_->metadata()->num_row_groups()) {
        return false;
      }
      open_group();
    }
    std::int64_t num_values = 0;
    // A column in which every row has a value stores no levels.
    std::fill(definition_levels_.begin(), definition_levels_.end(), max_definition_level_);
    num_levels_ = static_cast<std::size_t>(reader_->ReadBatch(
        kBatchRows,
        max_definition_level_ > 0 ? definition_levels_.data() : nullptr,
        nullptr,
        values_.data(),
        &num_values));
    at_ = value_at_ = 0;
    if (num_levels_ == 0) {
      throw FormatError(where_, "a page of the Parquet file ends too soon");
    }
    return true;
  }

  std::string where_;
  CorpusOptions options_;
  arrow::CappedMemoryPool pool_;
  std::unique_ptr<parquet::ParquetFileReader> file_;
  std::shared_ptr<parquet::ByteArrayReader> reader_;
  int column_ = 0, group_ = 0;
  std::int16_t max_definition_level_ = 0;
  std::int64_t row_, num_rows_ = 0, file_bytes_ = 0;
  std::array<std::int16_t, kBatchRows> definition_levels_{};
  std::array<parquet::ByteArray, kBatchRows> values_{};
  std::size_t num_levels_ = 0, at_ = 0, value_at_ = 0;
};

} // namespace

bool corpus_reads_parquet() {
  return true;
}

std::vector<std::string> parquet_columns(const std::filesystem::path& path) {
  try {
    const auto file = parquet::ParquetFileReader::OpenFile(path.string(), /*memory_map=*/false);
    const parquet::SchemaDescriptor* schema = file->metadata()->schema();
    std::vector<std::string> names;
    for (int i = 0; i < schema->num_columns(); ++i) {
      names.push_back(schema->Column(i)->path()->ToDotString());
    }
    return names;
  } catch (const std::exception& error) {
    throw FormatError(
        path.string(), "the Parquet file is corrupt", std::string(error.what()).substr(0, 300));
  }
}

std::unique_ptr<DocumentReader> open_parquet_documents(
    const std::filesystem::path& path,
    const CorpusOptions& options,
    std::int64_t row) {
  return std::make_unique<ParquetDocuments>(path, options, row);
}

} // namespace fcc
