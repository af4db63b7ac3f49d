#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fcc/data/loader.h"

namespace fcc {

class RandomAccessFile;

/// A text and its summary.
struct Pair {
  std::string article, summary;
};

/// The keys of a row; an absent one is looked for among the names of known data sets.
struct PairKeys {
  std::optional<std::string> prompt = std::nullopt, answer = std::nullopt;
};

/// A file of pairs: JSON Lines, also packed by gzip or zstd, or Parquet. Without keys the text is
/// in `article`, `text`, `document` or `chapter`, the summary in `highlights`, `summary` or
/// `summary_text`; where a row has both of the last, as BookSum's have, it is in `summary_text`.
/// Blank lines are passed over; every row is checked on opening. Rows are read where they lie;
/// those of packed files and Parquet are unpacked into a temporary file without a name. Safe to
/// share between threads.
class PairFile {
 public:
  /// Errors: `IoError`; `FormatError` with file and line; `ConfigError` on Parquet in a build
  /// without it.
  explicit PairFile(const std::filesystem::path& path, PairKeys keys = {});
  ~PairFile();
  PairFile(PairFile&&) noexcept;

  std::int64_t size() const {
    return static_cast<std::int64_t>(lines_.size());
  }
  /// See `file_fingerprint`.
  const std::string& fingerprint() const {
    return fingerprint_;
  }
  /// 0 <= index < size(). Errors: `IoError`, `FormatError` on a file that was changed since.
  Pair at(std::int64_t index) const;

 private:
  struct Line {
    std::int64_t begin, length, number;
  };
  void index_json_lines(bool in_place);
  void copy_parquet();
  Pair parse(std::string_view text, std::int64_t number) const;

  std::filesystem::path path_;
  PairKeys keys_;
  std::string fingerprint_;
  std::unique_ptr<RandomAccessFile> file_; ///< JSON Lines: the file itself, or what was unpacked
  std::vector<Line> lines_;
};

/// A pair as tokens: the answer follows the prompt.
struct PairSample {
  std::vector<std::int32_t> prompt, answer;
};

/// The prompt around a text, each piece tokenised apart; special tokens count in the template
/// alone. The default is the summarization prompt of arXiv 2405.04620, appendix D:
///
///     [BOS] Summarize this text:⏎ article ⏎----Summary:⏎ | summary [EOS]
class PairTemplate {
 public:
  /// Errors: `ConfigError` unless `text` holds `{prompt}` once.
  explicit PairTemplate(
      std::shared_ptr<const Tokenizer> tokenizer,
      DocumentMarks marks = {},
      const std::string& text = DatasetConfig().prompt_template);

  /// Prompt and answer of at most `length_tokens` together: the end of the article is cut; where
  /// even none of it is too much, the end of the summary.
  /// Errors: `ConfigError` if the template and one token of summary do not fit.
  PairSample fit(const Pair& pair, std::int64_t length_tokens) const;

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::int32_t> head_, tail_, end_;
};

} // namespace fcc
