#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fcc/data/loader.h"
#include "fcc/io/files.h"

namespace fcc {

/// A text and its summary.
struct Pair {
  std::string article, summary;
};

/// A JSONL file of pairs, one object a line. The text is in `article`, `text`, `document` or
/// `chapter`, the summary in `summary`, `highlights` or `summary_text` (CNN/DailyMail, BookSum and
/// their like); blank lines are passed over. Mapped into memory; every line is checked on opening.
/// Safe to share between threads.
class PairFile {
 public:
  /// Errors: `IoError`; `FormatError` with file and line; `ConfigError` on a compressed file.
  explicit PairFile(const std::filesystem::path& path);

  std::int64_t size() const {
    return static_cast<std::int64_t>(lines_.size());
  }
  /// See `file_fingerprint`.
  std::string fingerprint() const {
    return file_fingerprint(file_.bytes());
  }
  /// 0 <= index < size()
  Pair at(std::int64_t index) const;

 private:
  struct Line {
    std::int64_t begin, length, number;
  };
  Pair parse(const Line& line) const;

  MappedFile file_;
  std::vector<Line> lines_;
};

/// A pair as tokens: the answer follows the prompt.
struct PairSample {
  std::vector<std::int32_t> prompt, answer;
};

/// The summarization prompt of arXiv 2405.04620, appendix D, each piece tokenised apart:
///
///     [BOS] Summarize this text:⏎ article ⏎----Summary:⏎ | summary [EOS]
class PairTemplate {
 public:
  explicit PairTemplate(std::shared_ptr<const Tokenizer> tokenizer, DocumentMarks marks = {});

  /// Prompt and answer of at most `length_tokens` together: the end of the article is cut; where
  /// even none of it is too much, the end of the summary.
  /// Errors: `ConfigError` if the template and one token of summary do not fit.
  PairSample fit(const Pair& pair, std::int64_t length_tokens) const;

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::int32_t> head_, tail_, end_;
};

} // namespace fcc
