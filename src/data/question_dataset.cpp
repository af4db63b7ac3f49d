// Rows of many keys and many questions. One answer at the end of a row says little about how to
// carry a key; here every question in the row does, at every distance and in every place.

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "data/datasets.h"
#include "data/passkey_text.h"
#include "data/row.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/data/token_file.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

constexpr std::string_view kKey = "{key}", kName = "{name}";
constexpr const char* kFiller =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
constexpr const char* kNames[] = {
    "apple",  "anchor", "basket", "bottle", "bridge", "butter", "candle", "carpet",
    "castle", "cheese", "copper", "desert", "dragon", "engine", "falcon", "feather",
    "forest", "garden", "guitar", "hammer", "harbor", "island", "jacket", "kettle",
    "ladder", "lemon",  "marble", "meadow", "mirror", "monkey", "needle", "orange",
    "paper",  "pencil", "pepper", "pillow", "planet", "rabbit", "ribbon", "river",
    "rocket", "saddle", "silver", "spider", "temple", "tiger",  "violin", "window"};

/// Keeps a row's draws apart from those of its digits.
constexpr std::uint64_t kRowSalt = 0x7175657374696F6EULL;
/// Keys that one row can have: digits are drawn for (row, key).
constexpr std::int64_t kMaxKeys = 4096;

/// Something that stands in the filler: a needle, or a question with its answer.
struct Event {
  double at = 0; ///< share of the filler before it
  std::vector<std::int32_t> ids;
  std::size_t answer_begin = 0; ///< in `ids`; the end of them in a needle
};

class QuestionDataset final : public Dataset {
 public:
  QuestionDataset(
      const DatasetConfig& config,
      std::string name,
      std::shared_ptr<const Tokenizer> tokenizer,
      std::uint64_t seed,
      DocumentMarks marks)
      : config_(config),
        name_(std::move(name)),
        tokenizer_(std::move(tokenizer)),
        seed_(seed),
        space_(space_between_pieces(*tokenizer_)),
        names_(
            config.names.value_or(std::vector<std::string>(std::begin(kNames), std::end(kNames)))),
        wordings_(config.wordings.value_or(std::vector<PasskeyWording>{
            {config.needle.value_or("The passkey of the {name} is {key}."),
             config.question.value_or("What is the passkey of the {name}? It is")}})) {
    if (marks.bos) {
      if (!tokenizer_->bos_id()) {
        throw ConfigError(where(), "add_bos needs a tokenizer with a BOS", tokenizer_->kind());
      }
      bos_ = {*tokenizer_->bos_id()};
    }
    if (config.filler_path) {
      text_.emplace(*config.filler_path);
      text_->require_tokenizer(*tokenizer_);
    } else {
      filler_ = tokenizer_->encode(begun(space_, config.filler.value_or(kFiller)));
      if (filler_.empty()) {
        throw ConfigError(where(), "filler must give at least one token");
      }
    }
    check_wordings();
  }

  const std::string& name() const override {
    return name_;
  }

  std::string fingerprint() const override {
    return text_ ? text_->fingerprint() : std::string();
  }

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    Random random(seed_ ^ kRowSalt, static_cast<std::uint64_t>(position));
    const std::vector<Event> events = draw_events(random, position);
    Row out(batch, row);
    std::size_t taken = bos_.size();
    for (const Event& event : events) {
      taken += event.ids.size();
    }
    if (taken > out.ids.size()) {
      throw ConfigError(
          where(),
          "needles, questions and answers of this row need " + std::to_string(taken) + " tokens",
          std::to_string(out.ids.size()) + " tokens",
          "use more or longer segments, or fewer keys and questions");
    }
    const std::size_t num_filler = out.ids.size() - taken;
    const auto filler_start = static_cast<std::int64_t>(random.below(filler_period()));

    std::vector<std::uint8_t> answers(out.ids.size());
    std::size_t at = 0, filler_done = 0;
    const auto append = [&](const std::vector<std::int32_t>& ids) {
      std::copy(ids.begin(), ids.end(), out.ids.begin() + static_cast<std::ptrdiff_t>(at));
      at += ids.size();
    };
    const auto fill_to = [&](std::size_t end) {
      read_filler(
          filler_start + static_cast<std::int64_t>(filler_done),
          out.ids.subspan(at, end - filler_done));
      at += end - filler_done;
      filler_done = end;
    };
    append(bos_);
    for (const Event& event : events) {
      fill_to(static_cast<std::size_t>(std::llround(event.at * static_cast<double>(num_filler))));
      std::fill(
          answers.begin() + static_cast<std::ptrdiff_t>(at + event.answer_begin),
          answers.begin() + static_cast<std::ptrdiff_t>(at + event.ids.size()),
          std::uint8_t{1});
      append(event.ids);
    }
    fill_to(num_filler);
    for (std::size_t i = 0; i + 1 < out.ids.size(); ++i) {
      const bool is_answer = answers[i + 1] != 0;
      out.set_target(i, out.ids[i + 1], target_weight(config_, is_answer), is_answer);
    }
    return position + 1;
  }

  std::int64_t skip(const BatchShape& /*shape*/, std::int64_t position) const override {
    return position + 1;
  }

  double epochs(std::int64_t /*position*/) const override {
    return 0.0;
  }

  double padded_share(const BatchShape& /*shape*/) const override {
    return 0.0;
  }

 private:
  std::string where() const {
    return "data `" + name_ + "`";
  }

  std::vector<std::int32_t> encode(std::string text, const std::string& of, const std::string& key)
      const {
    return tokenizer_->encode(
        begun(space_, with_text(with_text(std::move(text), kName, of), kKey, key)));
  }

  void check_wordings() const {
    const std::int64_t num_keys = config_.keys.max();
    if (num_keys > kMaxKeys) {
      throw ConfigError(where(), "keys must be at most 4096", std::to_string(num_keys));
    }
    for (const PasskeyWording& wording : wordings_) {
      if (wording.needle.find(kKey) == std::string::npos ||
          wording.question.find(kKey) != std::string::npos || wording.question.empty()) {
        throw ConfigError(
            where(),
            "a needle must hold {key}, and a question must not be empty nor hold it",
            wording.needle + " | " + wording.question);
      }
      const bool named = wording.needle.find(kName) != std::string::npos &&
                         wording.question.find(kName) != std::string::npos;
      if (num_keys > 1 && !named) {
        throw ConfigError(
            where(),
            "with several keys every needle and question must hold {name}",
            wording.needle + " | " + wording.question);
      }
    }
    if (num_keys > static_cast<std::int64_t>(names_.size())) {
      throw ConfigError(
          where(),
          "there must be a name for each of " + std::to_string(num_keys) + " keys",
          std::to_string(names_.size()) + " names");
    }
  }

  /// Needles anywhere in the row, each question anywhere behind its needle; in the row's order.
  std::vector<Event> draw_events(Random& random, std::int64_t position) const {
    const auto num_keys = static_cast<std::size_t>(config_.keys.draw(random));
    const auto num_questions = static_cast<std::size_t>(config_.questions.draw(random));
    const bool first = random.uniform() < config_.first_share;
    std::vector<std::string> names = names_;
    std::vector<Event> events;
    struct Key {
      std::string name, digits;
      const PasskeyWording* wording = nullptr;
      double at = 0;
    };
    std::vector<Key> keys(num_keys);
    for (std::size_t i = 0; i < num_keys; ++i) {
      Key& key = keys[i];
      // A shuffle as far as it is needed: no two keys of a row have one name.
      std::swap(
          names[i],
          names
              [i + static_cast<std::size_t>(
                       random.below(static_cast<std::int64_t>(names.size() - i)))]);
      key.name = names[i];
      key.digits =
          draw_digits(config_.digits, seed_, position * kMaxKeys + static_cast<std::int64_t>(i));
      key.wording = &wordings_[static_cast<std::size_t>(
          random.below(static_cast<std::int64_t>(wordings_.size())))];
      key.at = first && i == 0 ? 0.0 : random.uniform();
      Event needle{.at = key.at, .ids = encode(key.wording->needle, key.name, key.digits)};
      needle.answer_begin = needle.ids.size();
      events.push_back(std::move(needle));
    }
    for (std::size_t i = 0; i < num_questions; ++i) {
      // Every key is asked for before one is asked for again.
      const Key& key = keys[i % num_keys];
      const std::string& question = key.wording->question;
      Event event{
          .at = key.at + (1.0 - key.at) * random.uniform(),
          .ids = encode(question, key.name, key.digits)};
      event.answer_begin = event.ids.size();
      const bool spaced = is_space(question.back());
      const std::vector<std::int32_t> answer =
          tokenizer_->encode((spaced ? "" : space_) + key.digits);
      event.ids.insert(event.ids.end(), answer.begin(), answer.end());
      events.push_back(std::move(event));
    }
    // Stable: a question that falls on its needle's place stays behind it.
    std::stable_sort(
        events.begin(), events.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
    return events;
  }

  std::int64_t filler_period() const {
    return text_ ? text_->num_tokens() : static_cast<std::int64_t>(filler_.size());
  }

  /// Reads on over the end at the beginning.
  void read_filler(std::int64_t from, std::span<std::int32_t> ids) const {
    while (!ids.empty()) {
      from %= filler_period();
      const auto count = std::min(ids.size(), static_cast<std::size_t>(filler_period() - from));
      if (text_) {
        text_->read(from, ids.first(count));
      } else {
        std::copy_n(filler_.begin() + from, count, ids.begin());
      }
      ids = ids.subspan(count);
      from += static_cast<std::int64_t>(count);
    }
  }

  DatasetConfig config_;
  std::string name_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::uint64_t seed_;
  std::string space_;
  std::vector<std::string> names_;
  std::vector<PasskeyWording> wordings_;
  std::vector<std::int32_t> bos_, filler_;
  std::optional<TokenFile> text_;
};

} // namespace

std::unique_ptr<Dataset> make_question_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks) {
  return std::make_unique<QuestionDataset>(
      config, std::move(name), std::move(tokenizer), seed, marks);
}

} // namespace fcc
