// Needles in a haystack: RULER's retrieval family (arXiv 2404.06654, section 3) in any wording.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "data/haystack.h"
#include "data/task_words.h"
#include "data/tasks.h"
#include "data/text_pieces.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

constexpr std::array<const char*, 3> kKinds = {"number", "word", "uuid"};

const char* kind_of(const TaskConfig& config) {
  return kKinds.at(static_cast<std::size_t>(config.values));
}

void require_mark(const std::string& what, const std::string& text, const std::string& mark) {
  if (text.find(mark) == std::string::npos) {
    throw ConfigError(what, "must hold " + mark, text);
  }
}

void check_config(const TaskConfig& config) {
  const NeedleTemplate& texts = config.texts;
  require_mark("needle", texts.needle, "{key}");
  for (const std::string* text : {&texts.intro, &texts.question, &texts.questions}) {
    if (text->find("{key}") != std::string::npos) {
      throw ConfigError("question", "must not hold {key}: only the needle tells it", *text);
    }
  }
  if (texts.question.empty()) {
    throw ConfigError("question", "must not be empty");
  }
  const auto refuse = [](const char* option, const std::string& rule, std::int64_t value) {
    throw ConfigError(option, rule, std::to_string(value));
  };
  if (config.keys > 1) {
    const char* hint = "where there are several keys: choose template `ruler`";
    require_mark(std::string("needle ") + hint, texts.needle, "{name}");
    require_mark(std::string("question ") + hint, texts.question, "{name}");
  }
  constexpr std::int64_t kMostKeys = 1024, kMostDigits = 18;
  if (config.keys < 1 || config.keys > kMostKeys) {
    refuse("task option keys", "must lie in 1.." + std::to_string(kMostKeys), config.keys);
  }
  if (config.asked < 1 || config.asked > config.keys) {
    refuse(
        "task option asked",
        "must lie in 1.." + std::to_string(config.keys) + ", the keys there are",
        config.asked);
  }
  if (config.values_per_key < 1 || config.values_per_key > kMostKeys) {
    refuse(
        "task option values_per_key",
        "must lie in 1.." + std::to_string(kMostKeys),
        config.values_per_key);
  }
  if (config.digits < 1 || config.digits > kMostDigits) {
    refuse("task option digits", "must lie in 1.." + std::to_string(kMostDigits), config.digits);
  }
  if (config.asked * config.values_per_key > 1 && texts.questions.empty()) {
    throw ConfigError(
        "task option template", "must have `questions`, which asks for several values at once");
  }
}

class NeedleTask final : public Task {
 public:
  NeedleTask(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos)
      : Task(tokenizer), config_(config), haystack_(config, std::move(tokenizer), add_bos) {}

  TaskSample make(TaskLength length, double depth, Random& random) const override {
    std::vector<std::string> names, asked, values;
    std::vector<HaystackText> needles;
    for (std::int64_t k = 0; k < config_.keys; ++k) {
      names.push_back(draw_unlike(names, [&] { return draw_word_pair(random); }));
      const bool is_asked = k < config_.asked;
      for (std::int64_t v = 0; v < config_.values_per_key; ++v) {
        const std::string value = draw_unlike(values, [&] { return draw_value(random); });
        const bool is_first = k == 0 && v == 0;
        needles.push_back(
            {replaced(filled(config_.texts.needle, names.back()), "{key}", value),
             is_first ? depth : random.uniform()});
        values.push_back(value);
      }
      if (is_asked) {
        asked.push_back(names.back());
      }
    }
    // All values differ, those that are not asked for too; the asked ones were drawn first.
    values.resize(static_cast<std::size_t>(config_.asked * config_.values_per_key));
    const bool several = values.size() > 1;
    const std::string& question = several ? config_.texts.questions : config_.texts.question;
    TaskSample sample = haystack_.write(
        length,
        {.intro = filled(config_.texts.intro, ""),
         .texts = std::move(needles),
         .question = filled(question, enumerated(asked)),
         .answer = enumerated(values),
         .slack_tokens = several ? kSlackTokens : 0},
        random);
    sample.values = std::move(values);
    return sample;
  }

  std::map<std::string, std::string> identity() const override {
    return {
        {"task", config_.task},
        {"values", kind_of(config_)},
        {"digits", std::to_string(config_.digits)},
        {"keys", std::to_string(config_.keys)},
        {"asked", std::to_string(config_.asked)},
        {"values_per_key", std::to_string(config_.values_per_key)},
        {"intro", config_.texts.intro},
        {"needle", config_.texts.needle},
        {"question",
         config_.asked * config_.values_per_key > 1 ? config_.texts.questions
                                                    : config_.texts.question},
        {"filler", filler_name(config_)}};
  }

 private:
  std::string draw_value(Random& random) const {
    switch (config_.values) {
      case NeedleValue::kWords:
        return draw_word_pair(random);
      case NeedleValue::kUuid:
        return draw_uuid(random);
      default:
        return draw_digits(config_.digits, random);
    }
  }

  std::string filled(const std::string& text, const std::string& name) const {
    return replaced(replaced(text, "{kind}", kind_of(config_)), "{name}", name);
  }

  TaskConfig config_;
  Haystack haystack_;
};

} // namespace

std::unique_ptr<Task> make_needle_task(
    const TaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos) {
  check_config(config);
  return std::make_unique<NeedleTask>(config, std::move(tokenizer), add_bos);
}

} // namespace fcc
