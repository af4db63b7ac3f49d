#include "data/document_reader.h"

#include <array>
#include <string_view>
#include <utility>

#include "data/json_strings.h"
#include "data/record_reader.h"
#include "fcc/core/error.h"
#include "text/utf8.h"

namespace fcc {
namespace {

class TextDocuments final : public DocumentReader {
 public:
  TextDocuments(
      std::unique_ptr<ByteSource> source,
      const std::filesystem::path& path,
      const CorpusOptions& options,
      std::int64_t offset,
      std::int64_t line)
      : where_(path.string()),
        allow_invalid_utf8_(options.allow_invalid_utf8),
        records_(
            std::move(source),
            path.string(),
            options.separator,
            options.max_document_bytes,
            offset),
        line_(line) {}

  bool next(std::string& text, std::string& where) override {
    const std::int64_t begin = records_.offset();
    std::string_view record;
    if (!records_.next(record)) {
      return false;
    }
    ++line_;
    where = where_ + ", document " + std::to_string(line_);
    if (!allow_invalid_utf8_) {
      const std::size_t valid = valid_utf8_prefix(record);
      if (valid < record.size()) {
        throw FormatError(
            where_,
            "text must be UTF-8",
            "a broken character at byte " +
                std::to_string(begin + static_cast<std::int64_t>(valid)),
            "--allow-invalid-utf8 passes it on as it is");
      }
    }
    text.assign(record);
    return true;
  }

  std::int64_t offset() const override {
    return records_.offset();
  }
  std::int64_t line() const override {
    return line_;
  }
  std::int64_t consumed_bytes() const override {
    return records_.consumed_bytes();
  }

 private:
  std::string where_;
  bool allow_invalid_utf8_;
  RecordReader records_;
  std::int64_t line_;
};

class JsonlDocuments final : public DocumentReader {
 public:
  JsonlDocuments(
      std::unique_ptr<ByteSource> source,
      const std::filesystem::path& path,
      const CorpusOptions& options,
      std::int64_t offset,
      std::int64_t line)
      : where_(path.string()),
        text_key_(options.text_key),
        records_(std::move(source), path.string(), "\n", options.max_document_bytes, offset),
        line_(line) {}

  bool next(std::string& text, std::string& where) override {
    std::string_view record;
    while (records_.next(record)) {
      ++line_;
      if (record.find_first_not_of(" \t\r") == std::string_view::npos) {
        continue;
      }
      where = where_ + ":" + std::to_string(line_);
      const std::array<std::string_view, 1> keys{text_key_};
      auto values = json_strings(record, keys, where);
      if (!values[0]) {
        throw FormatError(
            where, "must have the key `" + text_key_ + "`", "none", "--text-key names the key");
      }
      text = std::move(*values[0]);
      return true;
    }
    return false;
  }

  std::int64_t offset() const override {
    return records_.offset();
  }
  std::int64_t line() const override {
    return line_;
  }
  std::int64_t consumed_bytes() const override {
    return records_.consumed_bytes();
  }

 private:
  std::string where_, text_key_;
  RecordReader records_;
  std::int64_t line_;
};

} // namespace

std::unique_ptr<DocumentReader> open_text_documents(
    std::unique_ptr<ByteSource> source,
    const std::filesystem::path& path,
    const CorpusOptions& options,
    std::int64_t offset,
    std::int64_t line) {
  return std::make_unique<TextDocuments>(std::move(source), path, options, offset, line);
}

std::unique_ptr<DocumentReader> open_jsonl_documents(
    std::unique_ptr<ByteSource> source,
    const std::filesystem::path& path,
    const CorpusOptions& options,
    std::int64_t offset,
    std::int64_t line) {
  return std::make_unique<JsonlDocuments>(std::move(source), path, options, offset, line);
}

} // namespace fcc
