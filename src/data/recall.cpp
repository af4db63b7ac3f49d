#include "fcc/data/recall.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>

#include "data/recall_facts.h"
#include "data/recall_words.h"
#include "data/text_pieces.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/data/token_file.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

/// A fact told or asked for, as tokens, and where in the row it stands.
struct Event {
  std::vector<std::int32_t> ids;
  std::size_t answer_size = 0; ///< the last tokens that are the answer; 0: a fact
  double place = 0.0;          ///< 0..1 of the filler
};

struct Fact : RecallFact {
  double place = 0.0;
};

// Composed facts are of very different lengths: how often to draw one that fits into the row.
constexpr int kAttempts = 16;
// What spaces between the parts of a fact may add, in tokens.
constexpr std::size_t kSpaces = 4;

std::string begun(const std::string& text) {
  return text.empty() || text.front() == '\n' || text.front() == ' ' ? text : " " + text;
}

} // namespace

RecallTask::RecallTask(
    const DatasetConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::shared_ptr<const TokenFile> text,
    bool add_bos)
    : tokenizer_(std::move(tokenizer)),
      text_(std::move(text)),
      templates_(config.templates.value_or(recall_templates())),
      num_facts_(config.keys),
      num_questions_(config.questions),
      composed_share_(config.composed_share),
      text_share_(config.text_share),
      first_share_(config.first_share) {
  if (text_share_ > 0 && !text_) {
    throw ConfigError("recall text_share", "above 0 needs `path`, the text");
  }
  for (const std::string& filler : config.fillers.value_or(recall_fillers())) {
    fillers_.push_back(tokenizer_->encode(begun(filler)));
    if (fillers_.back().empty()) {
      throw ConfigError("recall fillers", "must give at least one token each", filler);
    }
  }
  if (add_bos) {
    if (!tokenizer_->bos_id()) {
      throw ConfigError("recall", "add_bos needs a tokenizer with a BOS", tokenizer_->kind());
    }
    bos_ = {*tokenizer_->bos_id()};
  }
}

std::vector<std::int32_t> RecallTask::filler(std::int64_t count, bool from_text, Random& random)
    const {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  if (from_text) {
    std::int64_t position = random.below(text_->num_tokens());
    for (std::span<std::int32_t> rest = ids; !rest.empty();) {
      const auto size =
          std::min(rest.size(), static_cast<std::size_t>(text_->num_tokens() - position));
      text_->read(position, rest.first(size));
      rest = rest.subspan(size);
      position = 0;
    }
    return ids;
  }
  const auto& period =
      fillers_[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(fillers_.size())))];
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = period[i % period.size()];
  }
  return ids;
}

RecallFact RecallTask::fact_of_template(Random& random) const {
  const RecallTemplate& form = templates_[static_cast<std::size_t>(
      random.below(static_cast<std::int64_t>(templates_.size())))];
  const std::string name = draw_recall_name(random), kind = draw_recall_kind(random);
  const auto filled = [&](const std::string& text) {
    return replaced(replaced(text, "{name}", name), "{kind}", kind);
  };
  const std::string value = draw_recall_value(random);
  return {
      .told = replaced(filled(form.needle), "{key}", value),
      .question = filled(form.question),
      .value = value};
}

RecallFact RecallTask::compose_fact(std::int64_t most_tokens, Random& random) const {
  const auto room = static_cast<std::size_t>(std::max<std::int64_t>(0, most_tokens));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    RecallFact fact = compose_recall_fact(random);
    const std::string all = fact.told + fact.question + " " + fact.value;
    // No text has more tokens than bytes, so long rows need not be counted.
    if (all.size() + kSpaces <= room || tokenizer_->encode(all).size() + kSpaces <= room) {
      return fact;
    }
  }
  return fact_of_template(random);
}

RecallRow RecallTask::make(const RecallShape& shape, Random& random) const {
  RecallRow row;
  const bool from_text = random.uniform() < text_share_;
  const std::int64_t wanted_facts = std::max<std::int64_t>(1, num_facts_.draw(random));
  const std::int64_t wanted_questions = std::max<std::int64_t>(1, num_questions_.draw(random));
  const bool first = random.uniform() < first_share_;

  std::vector<Fact> facts;
  for (std::int64_t i = 0; i < wanted_facts; ++i) {
    const bool composed = composed_share_ > 0 && random.uniform() < composed_share_;
    Fact fact{composed ? compose_fact(shape.length_tokens, random) : fact_of_template(random)};
    fact.told = begun(fact.told);
    fact.question = begun(fact.question);
    fact.place = first && i == 0 ? 0.0 : random.uniform();
    // Two facts of one name would contradict each other.
    const bool told_before = std::any_of(facts.begin(), facts.end(), [&](const Fact& other) {
      return other.question == fact.question;
    });
    if (!told_before) {
      facts.push_back(std::move(fact));
    }
  }

  const double graded = static_cast<double>(shape.first_graded_token) /
                        static_cast<double>(std::max<std::int64_t>(1, shape.length_tokens));
  std::vector<Event> events;
  auto remaining = shape.length_tokens + 1 - static_cast<std::int64_t>(bos_.size());
  const auto add = [&](Event event) {
    const auto size = static_cast<std::int64_t>(event.ids.size());
    if (size > remaining) {
      return false;
    }
    remaining -= size;
    events.push_back(std::move(event));
    return true;
  };
  const auto add_fact = [&](const Fact& fact) {
    return add({tokenizer_->encode(fact.told), 0, fact.place});
  };
  const auto add_question = [&](const Fact& fact) {
    Event event;
    event.ids = tokenizer_->encode(fact.question);
    const std::vector<std::int32_t> answer = tokenizer_->encode(" " + fact.value);
    event.answer_size = answer.size();
    event.ids.insert(event.ids.end(), answer.begin(), answer.end());
    const double from = std::max(fact.place, graded);
    event.place = from + (1.0 - from) * random.uniform();
    return add(std::move(event));
  };

  if (!add_fact(facts.front()) || !add_question(facts.front())) {
    throw ConfigError(
        "recall",
        "a row must hold a fact, its question and the answer",
        std::to_string(shape.length_tokens) + " tokens",
        "use more or longer segments");
  }
  std::size_t told = 1;
  while (told < facts.size() && add_fact(facts[told])) {
    ++told;
  }
  for (std::int64_t i = 1; i < wanted_questions; ++i) {
    const auto which = random.below(static_cast<std::int64_t>(told));
    if (!add_question(facts[static_cast<std::size_t>(which)])) {
      break;
    }
  }
  // Stable: a fact was added before its questions, so it stands before them where places are equal.
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.place < b.place;
  });

  const std::vector<std::int32_t> between = filler(remaining, from_text, random);
  row.ids = bos_;
  row.ids.reserve(static_cast<std::size_t>(shape.length_tokens + 1));
  std::size_t used = 0;
  for (const Event& event : events) {
    const auto until =
        static_cast<std::size_t>(std::llround(event.place * static_cast<double>(between.size())));
    row.ids.insert(
        row.ids.end(),
        between.begin() + static_cast<std::ptrdiff_t>(used),
        between.begin() + static_cast<std::ptrdiff_t>(std::max(used, until)));
    used = std::max(used, until);
    row.answer.resize(row.ids.size(), 0);
    row.ids.insert(row.ids.end(), event.ids.begin(), event.ids.end());
    row.answer.resize(row.ids.size() - event.answer_size, 0);
    row.answer.resize(row.ids.size(), 1);
  }
  row.ids.insert(row.ids.end(), between.begin() + static_cast<std::ptrdiff_t>(used), between.end());
  row.answer.resize(row.ids.size(), 0);
  return row;
}

} // namespace fcc
