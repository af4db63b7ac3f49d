#include "fcc/data/corpus.h"

#include <utility>

#include "data/corpus_format.h"
#include "data/document_reader.h"
#include "fcc/core/error.h"

namespace fcc {
namespace fs = std::filesystem;

Corpus::Corpus(std::vector<fs::path> files, CorpusOptions options)
    : Corpus(std::move(files), std::move(options), Position()) {}

Corpus::Corpus(std::vector<fs::path> files, CorpusOptions options, Position position)
    : files_(std::move(files)), options_(std::move(options)), position_(position) {
  if (options_.max_document_bytes < 1) {
    throw ConfigError(
        "corpus",
        "the largest document must have at least 1 byte",
        std::to_string(options_.max_document_bytes));
  }
  for (std::int64_t i = 0; i < position.file; ++i) {
    std::error_code error;
    const auto size = fs::file_size(files_.at(static_cast<std::size_t>(i)), error);
    finished_bytes_ += error ? 0 : static_cast<std::int64_t>(size);
  }
}

Corpus::Corpus(Corpus&&) noexcept = default;
Corpus::~Corpus() = default;

bool Corpus::next(std::string& text) {
  while (position_.file < static_cast<std::int64_t>(files_.size())) {
    if (!reader_) {
      const fs::path& path = files_[static_cast<std::size_t>(position_.file)];
      OpenedFile file = open_corpus_file(path, options_);
      switch (file.format) {
        case CorpusFormat::kParquet:
          reader_ = open_parquet_documents(path, options_, position_.offset);
          break;
        case CorpusFormat::kJsonl:
          reader_ = open_jsonl_documents(
              std::move(file.source), path, options_, position_.offset, position_.line);
          break;
        default:
          reader_ = open_text_documents(
              std::move(file.source), path, options_, position_.offset, position_.line);
          break;
      }
    }
    if (reader_->next(text, where_)) {
      return true;
    }
    finished_bytes_ += reader_->consumed_bytes();
    reader_.reset();
    position_ = {.file = position_.file + 1, .offset = 0, .line = 0};
  }
  return false;
}

std::int64_t Corpus::consumed_bytes() const {
  return finished_bytes_ + (reader_ ? reader_->consumed_bytes() : 0);
}

Corpus::Position Corpus::position() const {
  if (!reader_) {
    return position_;
  }
  return {.file = position_.file, .offset = reader_->offset(), .line = reader_->line()};
}

} // namespace fcc
