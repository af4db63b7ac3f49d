#include "fcc/text/words_tokenizer.h"

#include <algorithm>
#include <functional>
#include <set>
#include <unordered_map>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "text/token_error.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// A byte of a word: no white space, digit or ASCII punctuation.
bool is_letter(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool contains(std::string_view set, std::string_view token) {
  return token.size() == 1 && set.find(token[0]) != std::string_view::npos;
}

bool is_number(std::string_view token) {
  return token.size() == 1 && is_digit(token[0]);
}

/// Whether a space belongs between two tokens; `before` stands in front of `left` (or is empty).
bool needs_space(std::string_view before, std::string_view left, std::string_view right) {
  if (is_number(left) && is_number(right)) {
    return false;
  }
  if (contains(".,:", left) && is_number(before) && is_number(right)) {
    return false; // 3.14, 1,000, 12:30
  }
  return !contains(".,;:!?)]}%'-/_", right) && !contains("([{$#'-/_", left);
}

/// Lets a map of strings be searched by view.
struct ViewHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>()(text);
  }
};

class WordsTokenizer final : public Tokenizer {
 public:
  using Tokenizer::encode;
  WordsTokenizer(std::vector<std::string> vocabulary, const std::string& source);

  std::int64_t vocab_size() const override {
    return static_cast<std::int64_t>(vocabulary_.size());
  }
  void encode(std::string_view text, std::vector<std::int32_t>& ids) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::optional<std::int32_t> bos_id() const override {
    return bos_;
  }
  std::optional<std::int32_t> eos_id() const override {
    return eos_;
  }
  std::string kind() const override {
    return "words";
  }
  std::string hash() const override {
    return sha256_hex("fcc words tokenizer\n" + file_content());
  }
  void save(const std::filesystem::path& directory) const override {
    write_file_atomic(directory / "vocabulary.txt", file_content());
  }

 private:
  std::optional<std::int32_t> find(std::string_view token) const;
  std::string file_content() const;

  std::vector<std::string> vocabulary_;
  std::unordered_map<std::string, std::int32_t, ViewHash, std::equal_to<>> ids_;
  std::optional<std::int32_t> unknown_, bos_, eos_;
};

WordsTokenizer::WordsTokenizer(std::vector<std::string> vocabulary, const std::string& source)
    : vocabulary_(std::move(vocabulary)) {
  if (vocabulary_.empty()) {
    throw FormatError(source, "a words vocabulary needs at least one token");
  }
  for (std::size_t i = 0; i < vocabulary_.size(); ++i) {
    const std::string& token = vocabulary_[i];
    const std::string where = source + ", line " + std::to_string(i + 1);
    if (token.empty() || std::any_of(token.begin(), token.end(), is_space)) {
      throw FormatError(where, "a token must be a word without white space", '"' + token + '"');
    }
    if (!ids_.emplace(token, static_cast<std::int32_t>(i)).second) {
      throw FormatError(where, "a token must not come twice", '"' + token + '"');
    }
  }
  unknown_ = find("<unk>");
  bos_ = find("<s>");
  eos_ = find("</s>");
}

std::optional<std::int32_t> WordsTokenizer::find(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

void WordsTokenizer::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  for (const std::string_view word : split_words(text)) {
    const auto id = find(word);
    if (!id && !unknown_) {
      throw Error(
          "words tokenizer",
          "every word must be in the vocabulary",
          '"' + std::string(word) + '"',
          "a token <unk> in vocabulary.txt would stand for unknown words");
    }
    ids.push_back(id ? *id : *unknown_);
  }
}

std::string WordsTokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  std::string_view before, left;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) {
      throw_bad_id("words tokenizer", id, vocab_size());
    }
    if (id == bos_ || id == eos_) {
      continue;
    }
    const std::string_view word = vocabulary_[static_cast<std::size_t>(id)];
    if (!left.empty() && needs_space(before, left, word)) {
      text += ' ';
    }
    text += word;
    before = left;
    left = word;
  }
  return text;
}

std::string WordsTokenizer::file_content() const {
  std::string content;
  for (const std::string& token : vocabulary_) {
    content += token + '\n';
  }
  return content;
}

} // namespace

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;
    if (is_letter(text[i])) {
      while (end < text.size() && is_letter(text[end])) {
        ++end;
      }
    }
    if (!is_space(text[i])) {
      words.push_back(text.substr(i, end - i));
    }
    i = end;
  }
  return words;
}

std::vector<std::string> words_vocabulary(
    std::span<const std::string> texts,
    const std::vector<std::string>& specials) {
  std::set<std::string, std::less<>> distinct;
  for (const std::string& text : texts) {
    for (const std::string_view word : split_words(text)) {
      if (distinct.find(word) == distinct.end()) {
        distinct.emplace(word);
      }
    }
  }
  std::vector<std::string> vocabulary = specials;
  vocabulary.insert(vocabulary.end(), distinct.begin(), distinct.end());
  return vocabulary;
}

std::shared_ptr<const Tokenizer> make_words_tokenizer(
    std::vector<std::string> vocabulary,
    const std::string& source) {
  return std::make_shared<WordsTokenizer>(std::move(vocabulary), source);
}

std::shared_ptr<const Tokenizer> load_words_tokenizer(const std::filesystem::path& file) {
  const std::string content = read_tokenizer_file(file);
  std::vector<std::string> vocabulary;
  for (std::size_t i = 0; i < content.size();) {
    const std::size_t end = std::min(content.find('\n', i), content.size());
    std::string line = content.substr(i, end - i);
    if (line.ends_with('\r')) {
      line.pop_back();
    }
    vocabulary.push_back(std::move(line));
    i = end + 1;
  }
  return make_words_tokenizer(std::move(vocabulary), file.string());
}

} // namespace fcc
