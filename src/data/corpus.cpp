#include "fcc/data/corpus.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "data/byte_source.h"
#include "data/document_reader.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

enum class FileKind { kText, kJsonl, kParquet };

/// `.jsonl` of `a.jsonl.zst`.
std::string inner_extension(const fs::path& path) {
  const std::string outer = lower_extension(path);
  return outer == ".gz" || outer == ".zst" ? lower_extension(path.stem()) : outer;
}

FileKind kind_of(const fs::path& path) {
  const std::string extension = inner_extension(path);
  if (extension == ".jsonl" || extension == ".ndjson") {
    return FileKind::kJsonl;
  }
  return lower_extension(path) == ".parquet" ? FileKind::kParquet : FileKind::kText;
}

bool is_known(const fs::path& path) {
  constexpr std::array<std::string_view, 3> kTextExtensions{".txt", ".text", ".md"};
  return kind_of(path) != FileKind::kText ||
         std::find(kTextExtensions.begin(), kTextExtensions.end(), inner_extension(path)) !=
             kTextExtensions.end();
}

} // namespace

std::vector<fs::path> corpus_files(
    const std::vector<fs::path>& inputs,
    std::int64_t* num_passed_over) {
  std::vector<fs::path> files;
  for (const fs::path& input : inputs) {
    std::error_code error;
    if (!fs::is_directory(input, error)) {
      if (!fs::exists(input, error)) {
        throw ConfigError(
            "corpus", "an input must be a file or a folder", input.string() + ", absent");
      }
      files.push_back(input);
      continue;
    }
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(input, error)) {
      if (!entry.is_regular_file()) {
        continue;
      }
      if (is_known(entry.path())) {
        found.push_back(entry.path());
      } else if (num_passed_over != nullptr) {
        ++*num_passed_over;
      }
    }
    if (error) {
      throw IoError(input.string(), "cannot list the folder", error.message());
    }
    if (found.empty()) {
      throw ConfigError(
          input.string(),
          "a folder must hold .txt, .text, .md, .jsonl, .ndjson or .parquet files",
          "none");
    }
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  if (files.empty()) {
    throw ConfigError("corpus", "at least one input is needed", "none");
  }
  return files;
}

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
      switch (kind_of(path)) {
        case FileKind::kText:
          reader_ = open_text_documents(path, options_, position_.offset, position_.line);
          break;
        case FileKind::kJsonl:
          reader_ = open_jsonl_documents(path, options_, position_.offset, position_.line);
          break;
        case FileKind::kParquet:
          reader_ = open_parquet_documents(path, options_, position_.offset);
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
