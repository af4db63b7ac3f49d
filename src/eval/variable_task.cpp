// Variable tracking (RULER, arXiv 2404.06654, section 3): a value is handed on from variable to
// variable, and all variables that hold it are asked for.
#include <algorithm>
#include <string>
#include <utility>

#include "eval/haystack.h"
#include "eval/sweep_tasks.h"
#include "eval/sweep_words.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

constexpr const char* kIntro =
    "Memorize and track the chain(s) of variable assignment hidden in the following text.";
constexpr std::int64_t kDigits = 5;

class VariableTask final : public SweepTask {
 public:
  VariableTask(
      const SweepTaskConfig& config,
      std::shared_ptr<const Tokenizer> tokenizer,
      bool add_bos)
      : SweepTask(tokenizer), config_(config), haystack_(config, std::move(tokenizer), add_bos) {}

  SweepSample make(std::int64_t length_tokens, double depth, Random& random) const override {
    std::vector<std::string> names, values, asked;
    std::vector<HaystackText> texts;
    for (std::int64_t chain = 0; chain < config_.keys; ++chain) {
      values.push_back(unlike(values, [&] { return draw_digits(kDigits, random); }));
      std::vector<double> places;
      const double from = chain == 0 ? depth : random.uniform();
      for (std::int64_t hop = 0; hop < config_.hops; ++hop) {
        places.push_back(from + (1.0 - from) * random.uniform());
      }
      places.push_back(from);
      std::sort(places.begin(), places.end()); // an assignment follows the one it refers to
      for (std::size_t hop = 0; hop < places.size(); ++hop) {
        const std::string before = hop == 0 ? values.back() : "VAR " + names.back();
        names.push_back(unlike(names, [&] { return draw_variable(random); }));
        texts.push_back({"VAR " + names.back() + " = " + before + ".", places[hop]});
        if (chain == 0) {
          asked.push_back(names.back());
        }
      }
    }
    const std::string question =
        "Question: Find all variables that are assigned the value " + values.front() +
        " in the text above. Answer: According to the chain(s) of variable assignment in the text "
        "above, " +
        std::to_string(asked.size()) + " variables are assigned the value " + values.front() +
        ", they are:";
    SweepSample sample = haystack_.write(
        length_tokens, kIntro, std::move(texts), question, enumerated(asked), kSlackTokens, random);
    sample.values = std::move(asked);
    return sample;
  }

  std::map<std::string, std::string> identity() const override {
    return {
        {"task", config_.task},
        {"hops", std::to_string(config_.hops)},
        {"keys", std::to_string(config_.keys)},
        {"filler", config_.haystack.empty() ? config_.filler : config_.haystack_name}};
  }

 private:
  template <typename Draw>
  static std::string unlike(const std::vector<std::string>& others, Draw draw) {
    std::string drawn = draw();
    while (std::find(others.begin(), others.end(), drawn) != others.end()) {
      drawn = draw();
    }
    return drawn;
  }

  SweepTaskConfig config_;
  Haystack haystack_;
};

} // namespace

std::unique_ptr<SweepTask> make_variable_task(
    const SweepTaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos) {
  constexpr std::int64_t kMost = 64;
  if (config.hops < 1 || config.hops > kMost) {
    throw ConfigError(
        "--hops", "must lie in 1.." + std::to_string(kMost), std::to_string(config.hops));
  }
  if (config.keys < 1 || config.keys > kMost) {
    throw ConfigError(
        "--keys", "must lie in 1.." + std::to_string(kMost), std::to_string(config.keys));
  }
  return std::make_unique<VariableTask>(config, std::move(tokenizer), add_bos);
}

} // namespace fcc
