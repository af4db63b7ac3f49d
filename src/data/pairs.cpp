#include "fcc/data/pairs.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "data/json_strings.h"
#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

constexpr std::array<std::string_view, 7>
    kKeys{"article", "text", "document", "chapter", "summary", "highlights", "summary_text"};
constexpr std::size_t kNumArticleKeys = 4;

/// The one value among keys [from, to).
std::string only_one(
    std::vector<std::optional<std::string>>& values,
    std::size_t from,
    std::size_t to,
    const std::string& where) {
  std::string names;
  std::optional<std::string>* found = nullptr;
  for (std::size_t i = from; i < to; ++i) {
    names += (i > from ? ", " : "") + std::string(kKeys[i]);
    if (values[i]) {
      if (found != nullptr) {
        throw FormatError(where, "must have only one of " + names);
      }
      found = &values[i];
    }
  }
  if (found == nullptr || (*found)->empty()) {
    throw FormatError(where, "must have text under one of " + names, "none");
  }
  return std::move(**found);
}

} // namespace

PairFile::PairFile(const std::filesystem::path& path) : file_(path) {
  if (path.extension() == ".gz" || path.extension() == ".zst") {
    throw ConfigError(
        path.string(),
        "pairs are read at random: the file must not be compressed",
        "",
        "unpack it");
  }
  const std::string_view text(
      reinterpret_cast<const char*>(file_.bytes().data()), file_.bytes().size());
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    if (text.substr(begin, end - begin).find_first_not_of(" \t\r") != std::string_view::npos) {
      const Line line{
          static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end - begin), number};
      parse(line);
      lines_.push_back(line);
    }
    begin = end + 1;
  }
  if (lines_.empty()) {
    throw FormatError(path.string(), "must hold at least one pair", "none");
  }
}

Pair PairFile::parse(const Line& line) const {
  const std::string where = file_.path().string() + ":" + std::to_string(line.number);
  const std::string_view text(
      reinterpret_cast<const char*>(file_.bytes().data()) + line.begin,
      static_cast<std::size_t>(line.length));
  auto values = json_strings(text, kKeys, where);
  Pair pair;
  pair.article = only_one(values, 0, kNumArticleKeys, where);
  pair.summary = only_one(values, kNumArticleKeys, kKeys.size(), where);
  return pair;
}

Pair PairFile::at(std::int64_t index) const {
  return parse(lines_.at(static_cast<std::size_t>(index)));
}

PairTemplate::PairTemplate(std::shared_ptr<const Tokenizer> tokenizer, DocumentMarks marks)
    : tokenizer_(std::move(tokenizer)) {
  if (marks.bos) {
    if (!tokenizer_->bos_id()) {
      throw ConfigError("pairs", "add_bos needs a tokenizer with a BOS", tokenizer_->kind());
    }
    head_.push_back(*tokenizer_->bos_id());
  }
  tokenizer_->encode("Summarize this text:\n", head_);
  tail_ = tokenizer_->encode("\n----Summary:\n");
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
