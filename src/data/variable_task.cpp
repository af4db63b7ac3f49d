// Variable tracking (RULER, arXiv 2404.06654, section 3): a value is handed on from variable to
// variable, and all variables that hold it are asked for.
#include <algorithm>
#include <string>
#include <utility>

#include "data/haystack.h"
#include "data/task_words.h"
#include "data/tasks.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

constexpr const char* kIntro =
    "Memorize and track the chain(s) of variable assignment hidden in the following text.";
constexpr std::int64_t kDigits = 5;

class VariableTask final : public Task {
 public:
  VariableTask(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos)
      : Task(tokenizer), config_(config), haystack_(config, std::move(tokenizer), add_bos) {}

  TaskSample make(TaskLength length, double depth, Random& random) const override {
    std::vector<std::string> names, values, asked;
    std::vector<HaystackText> texts;
    for (std::int64_t chain = 0; chain < config_.keys; ++chain) {
      values.push_back(draw_unlike(values, [&] { return draw_digits(kDigits, random); }));
      std::vector<double> places;
      const double from = chain == 0 ? depth : random.uniform();
      for (std::int64_t hop = 0; hop < config_.hops; ++hop) {
        places.push_back(from + (1.0 - from) * random.uniform());
      }
      places.push_back(from);
      std::sort(places.begin(), places.end()); // an assignment follows the one it refers to
      for (std::size_t hop = 0; hop < places.size(); ++hop) {
        const std::string before = hop == 0 ? values.back() : std::string("VAR ") + names.back();
        names.push_back(draw_unlike(names, [&] { return draw_variable(random); }));
        texts.push_back({std::string("VAR ") + names.back() + " = " + before + ".", places[hop]});
        if (chain == 0) {
          asked.push_back(names.back());
        }
      }
    }
    const std::string question =
        std::string("Question: Find all variables that are assigned the value ") + values.front() +
        " in the text above. Answer: According to the chain(s) of variable assignment in the text "
        "above, " +
        std::to_string(asked.size()) + " variables are assigned the value " + values.front() +
        ", they are:";
    TaskSample sample = haystack_.write(
        length,
        {.intro = kIntro,
         .texts = std::move(texts),
         .question = question,
         .answer = enumerated(asked),
         .slack_tokens = kSlackTokens},
        random);
    sample.values = std::move(asked);
    return sample;
  }

  std::map<std::string, std::string> identity() const override {
    return {
        {"task", config_.task},
        {"hops", std::to_string(config_.hops)},
        {"keys", std::to_string(config_.keys)},
        {"filler", filler_name(config_)}};
  }

 private:
  TaskConfig config_;
  Haystack haystack_;
};

} // namespace

std::unique_ptr<Task> make_variable_task(
    const TaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos) {
  constexpr std::int64_t kMost = 64;
  if (config.hops < 1 || config.hops > kMost) {
    throw ConfigError(
        "task option hops",
        std::string("must lie in 1..") + std::to_string(kMost),
        std::to_string(config.hops));
  }
  if (config.keys < 1 || config.keys > kMost) {
    throw ConfigError(
        "task option keys",
        std::string("must lie in 1..") + std::to_string(kMost),
        std::to_string(config.keys));
  }
  return std::make_unique<VariableTask>(config, std::move(tokenizer), add_bos);
}

} // namespace fcc
