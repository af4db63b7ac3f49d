#pragma once

#include <filesystem>
#include <memory>

#include "data/byte_source.h"
#include "fcc/data/corpus.h"

namespace fcc {

/// What the name says, `.gz` and `.zst` left out; `kAuto` where it says nothing.
CorpusFormat format_by_name(const std::filesystem::path& path);

/// Whether the name, without `.gz` and `.zst`, ends in `.json`: JSON Lines, or one document of it.
bool is_named_json(const std::filesystem::path& path);

/// Whether the file begins with a line that is a JSON object. Errors: those of `open_bytes`.
bool holds_json_lines(const std::filesystem::path& path);

/// A file that was opened and looked into; `source` (absent for Parquet) stands at the text.
struct OpenedFile {
  CorpusFormat format;
  std::unique_ptr<ByteSource> source;
};

/// Errors: `FormatError` where the format is `kAuto` and neither name nor content tells it.
OpenedFile open_corpus_file(const std::filesystem::path& path, const CorpusOptions& options);

} // namespace fcc
