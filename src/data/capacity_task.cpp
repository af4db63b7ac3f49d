// How much a memory holds: pairs told at one place, one of them asked for.
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

class CapacityTask final : public Task {
 public:
  CapacityTask(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos)
      : Task(tokenizer), config_(config), haystack_(config, std::move(tokenizer), add_bos) {}

  TaskSample make(TaskLength length, double depth, Random& random) const override {
    std::vector<std::string> names, values;
    HaystackSample said;
    for (std::int64_t i = 0; i < config_.keys; ++i) {
      names.push_back(draw_unlike(names, [&] { return draw_word_pair(random); }));
      values.push_back(draw_unlike(values, [&] { return draw_digits(config_.digits, random); }));
      said.texts.push_back(
          {std::string("The number of ") + names.back() + " is " + values.back() + ".", depth});
    }
    const auto asked = static_cast<std::size_t>(random.below(config_.keys));
    said.question = std::string("The number of ") + names[asked] + " is";
    said.answer = values[asked];
    TaskSample sample = haystack_.write(length, std::move(said), random);
    sample.values = {std::move(values[asked])};
    return sample;
  }

  std::map<std::string, std::string> identity() const override {
    return {
        {"task", config_.task},
        {"keys", std::to_string(config_.keys)},
        {"digits", std::to_string(config_.digits)},
        {"length", config_.length_is_distance ? "of the filler" : "of all"},
        {"filler", filler_name(config_)}};
  }

 private:
  TaskConfig config_;
  Haystack haystack_;
};

} // namespace

std::unique_ptr<Task> make_capacity_task(
    const TaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos) {
  constexpr std::int64_t kMostKeys = 1024, kMostDigits = 18;
  if (config.keys < 1 || config.keys > kMostKeys) {
    throw ConfigError(
        "task option keys",
        std::string("must lie in 1..") + std::to_string(kMostKeys),
        std::to_string(config.keys));
  }
  if (config.digits < 1 || config.digits > kMostDigits) {
    throw ConfigError(
        "task option digits",
        std::string("must lie in 1..") + std::to_string(kMostDigits),
        std::to_string(config.digits));
  }
  return std::make_unique<CapacityTask>(config, std::move(tokenizer), add_bos);
}

} // namespace fcc
