#include "fcc/data/pairs.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "data/byte_source.h"
#include "data/corpus_format.h"
#include "data/document_reader.h"
#include "data/json_strings.h"
#include "data/random_access_file.h"
#include "data/record_reader.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

using Names = std::vector<std::string_view>;

Names prompt_names(const PairKeys& keys) {
  return keys.prompt ? Names{*keys.prompt} : Names{"article", "text", "document", "chapter"};
}

Names answer_names(const PairKeys& keys) {
  return keys.answer ? Names{*keys.answer} : Names{"highlights", "summary", "summary_text"};
}

std::string listed(const Names& names) {
  std::string text;
  for (const std::string_view name : names) {
    text += (text.empty() ? "`" : ", `") + std::string(name) + "`";
  }
  return text;
}

/// Which of `names` a row has, by `has(index)`.
template <typename Has>
std::size_t
only_one(const Names& names, const Has& has, const char* key, const std::string& where) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (has(i)) {
      found.push_back(i);
    }
  }
  // BookSum: `summary` holds more than the text that is in `summary_text`.
  if (found.size() == 2 && names[found[0]] == "summary" && names[found[1]] == "summary_text") {
    return found[1];
  }
  if (found.size() != 1) {
    throw FormatError(
        where,
        "must have " + std::string(names.size() > 1 ? "one of " : "") + listed(names),
        found.empty() ? "none" : "more than one",
        std::string("`") + key + "` of the dataset names it");
  }
  return found[0];
}

/// The first bytes of a file as it lies.
std::string raw_head(const RandomAccessFile& file) {
  std::string head(static_cast<std::size_t>(std::min<std::int64_t>(4, file.size_bytes())), '\0');
  file.read(0, std::as_writable_bytes(std::span(head)));
  return head;
}

} // namespace

PairFile::PairFile(const std::filesystem::path& path, PairKeys keys)
    : path_(path),
      keys_(std::move(keys)),
      fingerprint_(file_fingerprint(MappedFile(path).bytes())),
      file_(std::make_unique<RandomAccessFile>(path)) {
  const std::string head = raw_head(*file_), extension = lower_extension(path);
  if (head == "PAR1") {
    copy_parquet();
  } else {
    // Anything but plain lines without a byte-order mark must be unpacked.
    const bool in_place = extension != ".gz" && extension != ".zst" &&
                          !head.starts_with("\x1f\x8b") && !head.starts_with("\x28\xb5\x2f\xfd") &&
                          !head.starts_with("\xef\xbb\xbf");
    index_json_lines(in_place);
  }
  if (lines_.empty()) {
    throw FormatError(path.string(), "must hold at least one pair", "none");
  }
}

PairFile::~PairFile() = default;
PairFile::PairFile(PairFile&&) noexcept = default;

void PairFile::index_json_lines(bool in_place) {
  const CorpusOptions options{.format = CorpusFormat::kJsonl};
  RecordReader records(
      open_corpus_file(path_, options).source, path_.string(), "\n", options.max_document_bytes);
  if (!in_place) {
    file_ = std::make_unique<RandomAccessFile>(RandomAccessFile::temporary());
  }
  std::string_view text;
  for (std::int64_t number = 1, begin = 0; records.next(text); ++number) {
    if (text.find_first_not_of(" \t\r") != std::string_view::npos) {
      parse(text, number);
      const std::int64_t at = in_place ? begin : file_->size_bytes();
      if (!in_place) {
        file_->append(std::as_bytes(std::span(text)));
      }
      lines_.push_back({at, static_cast<std::int64_t>(text.size()), number});
    }
    begin = records.offset();
  }
}

void PairFile::copy_parquet() {
  const std::vector<std::string> columns = parquet_columns(path_);
  const auto column = [&](const Names& names, const char* key) {
    const auto has = [&](std::size_t i) {
      return std::find(columns.begin(), columns.end(), names[i]) != columns.end();
    };
    return std::string(names[only_one(names, has, key, path_.string())]);
  };
  keys_ = {
      .prompt = column(prompt_names(keys_), "prompt_key"),
      .answer = column(answer_names(keys_), "answer_key")};
  const auto prompts = open_parquet_documents(path_, {.text_key = *keys_.prompt}, 0);
  const auto answers = open_parquet_documents(path_, {.text_key = *keys_.answer}, 0);
  file_ = std::make_unique<RandomAccessFile>(RandomAccessFile::temporary());
  std::string prompt, answer, where;
  for (std::int64_t number = 1; prompts->next(prompt, where) && answers->next(answer, where);
       ++number) {
    const std::string text =
        nlohmann::json{{*keys_.prompt, prompt}, {*keys_.answer, answer}}.dump();
    parse(text, number);
    lines_.push_back({file_->size_bytes(), static_cast<std::int64_t>(text.size()), number});
    file_->append(std::as_bytes(std::span(text)));
  }
}

Pair PairFile::parse(std::string_view text, std::int64_t number) const {
  const std::string where = path_.string() + ":" + std::to_string(number);
  const Names prompts = prompt_names(keys_), answers = answer_names(keys_);
  Names names = prompts;
  names.insert(names.end(), answers.begin(), answers.end());
  auto values = json_strings(text, names, where);
  const auto take = [&](const Names& among, std::size_t from, const char* key) {
    const auto has = [&](std::size_t i) { return values[from + i].has_value(); };
    const std::size_t found = only_one(among, has, key, where);
    std::string& value = *values[from + found];
    if (value.empty()) {
      throw FormatError(where, "`" + std::string(among[found]) + "` must hold text", "none");
    }
    return std::move(value);
  };
  return {
      .article = take(prompts, 0, "prompt_key"),
      .summary = take(answers, prompts.size(), "answer_key")};
}

Pair PairFile::at(std::int64_t index) const {
  const Line& line = lines_.at(static_cast<std::size_t>(index));
  std::string text(static_cast<std::size_t>(line.length), '\0');
  file_->read(line.begin, std::as_writable_bytes(std::span(text)));
  return parse(text, line.number);
}

PairTemplate::PairTemplate(
    std::shared_ptr<const Tokenizer> tokenizer,
    DocumentMarks marks,
    const std::string& text)
    : tokenizer_(std::move(tokenizer)) {
  constexpr std::string_view kPlace = "{prompt}";
  const std::size_t place = text.find(kPlace);
  if (place == std::string::npos || text.find(kPlace, place + 1) != std::string::npos) {
    throw ConfigError("template", "must hold `{prompt}` once, where the text goes", text);
  }
  if (marks.bos) {
    if (!tokenizer_->bos_id()) {
      throw ConfigError("pairs", "add_bos needs a tokenizer with a BOS", tokenizer_->kind());
    }
    head_.push_back(*tokenizer_->bos_id());
  }
  const auto encode = [this](std::string_view piece, std::vector<std::int32_t>& ids) {
    if (!piece.empty()) {
      tokenizer_->encode_with_special(piece, ids);
    }
  };
  encode(std::string_view(text).substr(0, place), head_);
  encode(std::string_view(text).substr(place + kPlace.size()), tail_);
  if (marks.eos) {
    end_.push_back(required_eos(*tokenizer_, "pairs"));
  }
}

PairSample PairTemplate::fit(const Pair& pair, std::int64_t length_tokens) const {
  const auto room = static_cast<std::size_t>(length_tokens);
  const std::size_t template_size = head_.size() + tail_.size();
  if (room < template_size + 1) {
    throw ConfigError(
        "pairs",
        "the prompt and a token of summary need " + std::to_string(template_size + 1) + " tokens",
        std::to_string(length_tokens) + " tokens",
        "use more or longer segments");
  }
  PairSample sample;
  sample.answer = tokenizer_->encode(pair.summary);
  sample.answer.insert(sample.answer.end(), end_.begin(), end_.end());
  sample.answer.resize(std::min(sample.answer.size(), room - template_size));
  std::vector<std::int32_t> article = tokenizer_->encode(pair.article);
  article.resize(std::min(article.size(), room - template_size - sample.answer.size()));

  sample.prompt = head_;
  sample.prompt.insert(sample.prompt.end(), article.begin(), article.end());
  sample.prompt.insert(sample.prompt.end(), tail_.begin(), tail_.end());
  return sample;
}

} // namespace fcc
