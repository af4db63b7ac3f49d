#include "fcc/eval/sweep_task.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "data/text_pieces.h"
#include "eval/sweep_tasks.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/data/passkey.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

constexpr const char* kFiller =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

/// The paper's task as a task of sweeps.
class PasskeySweepTask final : public SweepTask {
 public:
  PasskeySweepTask(
      const DatasetConfig& config,
      const std::shared_ptr<const Tokenizer>& tokenizer,
      bool add_bos)
      : SweepTask(tokenizer), config_(config), task_(config, tokenizer, add_bos) {}

  SweepSample make(std::int64_t length_tokens, double depth, Random& random) const override {
    PasskeySample made = make_passkey(task_, length_tokens, depth, random.next(), 0);
    return {
        .prompt = std::move(made.prompt),
        .answer_tokens = static_cast<std::int64_t>(made.answer.size()),
        .values = {std::move(made.digits)}};
  }

  std::map<std::string, std::string> identity() const override {
    const auto text = [](const std::optional<std::string>& value) {
      return value.value_or("(the paper's)");
    };
    return {
        {"task", "passkey"},
        {"digits", std::to_string(config_.digits)},
        {"intro", text(config_.intro)},
        {"filler", text(config_.filler)},
        {"needle", text(config_.needle)},
        {"question", text(config_.question)}};
  }

 private:
  DatasetConfig config_;
  PasskeyTask task_;
};

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

SweepTaskConfig needle_config(NeedleValue values, bool needs_haystack) {
  SweepTaskConfig config;
  config.texts = needle_template("ruler");
  config.filler = kFiller;
  config.values = values;
  config.needs_haystack = needs_haystack;
  return config;
}

struct NamedTask {
  const char* name;
  SweepTaskConfig config;
};

std::vector<NamedTask> named_tasks() {
  const SweepTaskConfig repeated = needle_config(NeedleValue::kDigits, false);
  const SweepTaskConfig real = needle_config(NeedleValue::kDigits, true);
  const SweepTaskConfig uuid = needle_config(NeedleValue::kUuid, true);
  SweepTaskConfig multi_key = real, multi_value = real, multi_query = real;
  multi_key.keys = 4;
  multi_value.values_per_key = 4;
  multi_query.keys = multi_query.asked = 4;
  std::vector<NamedTask> tasks = {
      {"passkey", {}},
      {"needle", repeated},
      {"single-1", repeated},
      {"single-2", real},
      {"single-3", uuid},
      {"multi-key", multi_key},
      {"multi-value", multi_value},
      {"multi-query", multi_query},
      {"variables", repeated}};
  for (NamedTask& task : tasks) {
    task.config.task = task.name;
  }
  return tasks;
}

} // namespace

SweepTask::SweepTask(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {}

std::int64_t SweepTask::count_right(
    const SweepSample& sample,
    const std::vector<std::int32_t>& generated) const {
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

std::vector<std::string> sweep_task_names() {
  std::vector<std::string> names;
  for (const NamedTask& task : named_tasks()) {
    names.emplace_back(task.name);
  }
  return names;
}

SweepTaskConfig sweep_task_config(const std::string& task) {
  std::string names;
  for (const NamedTask& each : named_tasks()) {
    if (each.name == task) {
      return each.config;
    }
    names += (names.empty() ? "" : ", ") + std::string(each.name);
  }
  throw ConfigError("--task", "must be one of " + names, task);
}

std::unique_ptr<SweepTask> make_sweep_task(
    const SweepTaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos) {
  sweep_task_config(config.task); // refuses an unknown name
  if (config.task == "passkey") {
    return std::make_unique<PasskeySweepTask>(config.passkey, tokenizer, add_bos);
  }
  return config.task == "variables" ? make_variable_task(config, std::move(tokenizer), add_bos)
                                    : make_needle_task(config, std::move(tokenizer), add_bos);
}

} // namespace fcc
