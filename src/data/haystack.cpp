#include "data/haystack.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "data/text_pieces.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

/// How far before its place a text may stand so that it follows a whole sentence.
constexpr std::size_t kMostBack = 64;

std::vector<char> sentence_ends(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  std::vector<char> seen(static_cast<std::size_t>(tokenizer.vocab_size()), 0);
  std::vector<char> ends = seen;
  for (const std::int32_t id : ids) {
    const auto index = static_cast<std::size_t>(id);
    if (seen[index] == 0) {
      seen[index] = 1;
      const std::string text = tokenizer.decode(std::span(&id, 1));
      ends[index] = !text.empty() && std::string(".!?\n").find(text.back()) != std::string::npos;
    }
  }
  return ends;
}

} // namespace

Haystack::Haystack(
    const TaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos)
    : tokenizer_(std::move(tokenizer)), space_(space_between_pieces(*tokenizer_)) {
  if (config.needs_haystack && config.haystack.empty()) {
    throw ConfigError(
        std::string("task `") + config.task + "`",
        "stands in real text: name a file of it (--haystack, or the dataset's path)");
  }
  is_text_ = !config.haystack.empty();
  length_is_distance_ = config.length_is_distance;
  filler_ = is_text_ ? config.haystack : tokenizer_->encode(begun(space_, config.filler));
  if (filler_.empty()) {
    throw ConfigError("task filler", "must give at least one token");
  }
  ends_sentence_ = sentence_ends(*tokenizer_, filler_);
  if (add_bos) {
    if (!tokenizer_->bos_id()) {
      throw ConfigError("task", "add_bos needs a tokenizer with a BOS", tokenizer_->kind());
    }
    bos_ = {*tokenizer_->bos_id()};
  }
}

std::size_t Haystack::behind_sentence(const std::vector<std::int32_t>& filler, std::size_t place)
    const {
  for (std::size_t back = 0; back <= std::min(place, kMostBack); ++back) {
    const std::size_t at = place - back;
    if (at == 0 || ends_sentence_[static_cast<std::size_t>(filler[at - 1])] != 0) {
      return at;
    }
  }
  return place;
}

TaskSample Haystack::write(TaskLength range, HaystackSample said, Random& random) const {
  TaskSample sample;
  const std::vector<std::int32_t> first = tokenizer_->encode(said.intro);
  const std::vector<std::int32_t> last = tokenizer_->encode(begun(space_, said.question));
  const bool apart = said.question.empty() || !is_space(said.question.back());
  sample.answer = tokenizer_->encode((apart ? space_ : "") + said.answer);
  std::vector<HaystackText>& texts = said.texts;
  std::stable_sort(texts.begin(), texts.end(), [](const HaystackText& a, const HaystackText& b) {
    return a.place < b.place;
  });
  std::size_t needed = bos_.size() + first.size() + last.size() + sample.answer.size();
  std::vector<std::vector<std::int32_t>> told;
  for (const HaystackText& each : texts) {
    told.push_back(tokenizer_->encode(begun(space_, each.text)));
    needed += told.back().size();
  }
  const auto fixed = static_cast<std::int64_t>(needed);
  if (length_is_distance_) {
    range = {range.shortest_tokens + fixed, range.longest_tokens + fixed};
  }
  if (range.longest_tokens < fixed) {
    throw ConfigError(
        "task",
        std::string("what is told, question and answer need ") + std::to_string(needed) + " tokens",
        std::to_string(range.longest_tokens) + " tokens",
        "use more or longer segments");
  }
  std::int64_t length = range.longest_tokens;
  if (range.shortest_tokens < length) {
    length -= random.below(length - std::max(range.shortest_tokens, fixed) + 1);
  }
  std::vector<std::int32_t> filler(static_cast<std::size_t>(length - fixed));
  const std::int64_t start = is_text_ ? random.below(static_cast<std::int64_t>(filler_.size())) : 0;
  for (std::size_t i = 0; i < filler.size(); ++i) {
    filler[i] = filler_[(static_cast<std::size_t>(start) + i) % filler_.size()];
  }

  sample.prompt.reserve(static_cast<std::size_t>(length));
  const auto append = [&](std::span<const std::int32_t> ids) {
    sample.prompt.insert(sample.prompt.end(), ids.begin(), ids.end());
  };
  append(bos_);
  append(first);
  std::size_t used = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto place =
        static_cast<std::size_t>(std::llround(texts[i].place * static_cast<double>(filler.size())));
    const std::size_t until = std::max(used, behind_sentence(filler, place));
    append(std::span(filler).subspan(used, until - used));
    append(told[i]);
    used = until;
  }
  append(std::span(filler).subspan(used));
  append(last);
  sample.answer_tokens = static_cast<std::int64_t>(sample.answer.size()) + said.slack_tokens;
  return sample;
}

std::string enumerated(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool is_last = i + 1 == words.size();
    text += i == 0 ? "" : words.size() == 2 ? " and " : is_last ? ", and " : ", ";
    text += words[i];
  }
  return text;
}

} // namespace fcc
