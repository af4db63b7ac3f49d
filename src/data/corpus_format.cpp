#include "data/corpus_format.h"

#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "fcc/core/error.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

/// What is looked at: a first line beyond it is judged by how it begins.
constexpr std::size_t kHeadBytes = std::size_t{1} << 16;
constexpr const char* kHint = "--format text, jsonl or parquet says what it is";

/// `.jsonl` of `a.jsonl.zst`.
std::string inner_extension(const fs::path& path) {
  const std::string outer = lower_extension(path);
  return outer == ".gz" || outer == ".zst" ? lower_extension(path.stem()) : outer;
}

std::string_view without_blanks(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

bool begins_with_object(const PeekedSource& source) {
  const std::string_view text = without_blanks(source.head());
  if (!text.starts_with('{')) {
    return false;
  }
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos && !source.head_is_all()) {
    const std::string_view inside = without_blanks(text.substr(1));
    return inside.starts_with('"') || inside.starts_with('}');
  }
  return nlohmann::json::accept(text.substr(0, end));
}

void refuse_utf16(const fs::path& path, std::string_view head) {
  if (head.starts_with("\xff\xfe") || head.starts_with("\xfe\xff")) {
    throw FormatError(
        path.string(), "text must be UTF-8", "UTF-16", "iconv -f UTF-16 -t UTF-8 converts it");
  }
}

/// The format of a file whose name says `named`.
CorpusFormat
format_by_content(const fs::path& path, const PeekedSource& source, CorpusFormat named) {
  const bool json_lines = begins_with_object(source);
  if (named == CorpusFormat::kText && json_lines) {
    throw FormatError(
        path.string(), "a text's name must not hide JSON Lines", "a JSON object a line", kHint);
  }
  if (named != CorpusFormat::kAuto) {
    return named;
  }
  if (json_lines) {
    return CorpusFormat::kJsonl;
  }
  const std::string_view text = without_blanks(source.head());
  const std::string_view inside = without_blanks(text.substr(text.empty() ? 0 : 1));
  const bool json_array = text.starts_with('[') && (inside.starts_with('{') || is_named_json(path));
  if (text.starts_with('{') || json_array) {
    throw FormatError(
        path.string(),
        "JSON must be one object a line (JSON Lines)",
        json_array ? "an array (`jq -c '.[]'` makes lines of it)"
                   : "an object over several lines (`jq -c .` makes a line of it), or other text",
        kHint);
  }
  if (text.find('\0') != std::string_view::npos || (is_named_json(path) && !text.empty())) {
    throw FormatError(
        path.string(),
        "must be text, JSON Lines or Parquet",
        is_named_json(path) ? "no JSON objects" : "binary content",
        kHint);
  }
  return CorpusFormat::kText;
}

} // namespace

CorpusFormat format_by_name(const fs::path& path) {
  const std::string extension = inner_extension(path);
  if (extension == ".jsonl" || extension == ".ndjson") {
    return CorpusFormat::kJsonl;
  }
  if (extension == ".txt" || extension == ".text" || extension == ".md") {
    return CorpusFormat::kText;
  }
  return lower_extension(path) == ".parquet" ? CorpusFormat::kParquet : CorpusFormat::kAuto;
}

bool is_named_json(const fs::path& path) {
  return inner_extension(path) == ".json";
}

bool holds_json_lines(const fs::path& path) {
  return begins_with_object(PeekedSource(open_bytes(path), kHeadBytes));
}

OpenedFile open_corpus_file(const fs::path& path, const CorpusOptions& options) {
  const CorpusFormat named =
      options.format == CorpusFormat::kAuto ? format_by_name(path) : options.format;
  if (named == CorpusFormat::kParquet) {
    return {named, nullptr};
  }
  auto source = std::make_unique<PeekedSource>(open_bytes(path), kHeadBytes);
  std::error_code ignored; // then it is no regular file
  if (named == CorpusFormat::kAuto && source->head().starts_with("PAR1")) {
    if (!fs::is_regular_file(path, ignored)) {
      throw FormatError(path.string(), "Parquet must be a file", "a pipe or device");
    }
    return {CorpusFormat::kParquet, nullptr};
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (source->head().starts_with(kByteOrderMark)) {
    source->skip(static_cast<std::int64_t>(kByteOrderMark.size()));
  }
  if (!options.allow_invalid_utf8) {
    refuse_utf16(path, source->head());
  }
  const CorpusFormat format = options.format == CorpusFormat::kAuto
                                  ? format_by_content(path, *source, named)
                                  : options.format;
  return {format, std::move(source)};
}

} // namespace fcc
