#include "fcc/data/task.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <utility>

#include "data/text_pieces.h"
#include "fcc/core/error.h"
#include "fcc/data/token_file.h"
#include "fcc/io/files.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
}

/// Does `text` hold `word` with no letter, digit or hyphen beside it?
bool has_word(const std::string& text, const std::string& word) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word_character(text[at - 1])) &&
        (end == text.size() || !is_word_character(text[end]))) {
      return true;
    }
  }
  return false;
}

} // namespace

Task::Task(std::shared_ptr<const Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}

std::int64_t Task::count_right(const TaskSample& sample, const std::vector<std::int32_t>& generated)
    const {
  // A model may have more tokens than its tokenizer, and draw one of them while it knows little.
  const std::int64_t known = tokenizer_->vocab_size();
  const auto end =
      std::find_if(generated.begin(), generated.end(), [&](auto id) { return id >= known; });
  const std::string text = trimmed(tokenizer_->decode(
      std::span(generated).first(static_cast<std::size_t>(end - generated.begin()))));
  if (sample.values.size() == 1) {
    return text == sample.values.front() && end == generated.end() ? 1 : 0;
  }
  return std::count_if(sample.values.begin(), sample.values.end(), [&](const std::string& value) {
    return has_word(text, value);
  });
}

void stand_in_text(TaskConfig& config, const std::string& path, const Tokenizer& tokenizer) {
  if (config.task == "passkey") {
    throw ConfigError("task `passkey`", "stands in its filler: name no text for it", path);
  }
  if (path.ends_with(".safetensors")) {
    const TokenFile file(path);
    file.require_tokenizer(tokenizer);
    constexpr std::int64_t kMostTokens = 1 << 26; // 256 MiB of ids
    config.haystack.resize(static_cast<std::size_t>(std::min(file.num_tokens(), kMostTokens)));
    file.read(0, config.haystack);
    config.haystack_name = file.fingerprint();
  } else {
    tokenizer.encode(read_file(path), config.haystack);
    config.haystack_name = path + ", " + std::to_string(config.haystack.size()) + " tokens";
  }
  if (config.haystack.empty()) {
    throw ConfigError("the text of a task", "must not be empty", path);
  }
}

} // namespace fcc
