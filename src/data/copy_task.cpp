// A passage that is to be said again word by word, any number of segments later.
#include <string>
#include <utility>

#include "data/haystack.h"
#include "data/task_words.h"
#include "data/tasks.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

class CopyTask final : public Task {
 public:
  CopyTask(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos)
      : Task(tokenizer), config_(config), haystack_(config, std::move(tokenizer), add_bos) {}

  TaskSample make(TaskLength length, double depth, Random& random) const override {
    std::string passage;
    for (std::int64_t i = 0; i < config_.words; ++i) {
      passage += i == 0 ? "" : " ";
      passage += draw_plain_word(random);
    }
    TaskSample sample = haystack_.write(
        length,
        {.intro = "A passage is hidden within the following text. Remember it word by word.",
         .texts = {{std::string("The passage is: ") + passage + ".", depth}},
         .question = "What is the passage? The passage is:",
         .answer = passage},
        random);
    sample.values = {std::move(passage)};
    return sample;
  }

  std::map<std::string, std::string> identity() const override {
    return {
        {"task", config_.task},
        {"words", std::to_string(config_.words)},
        {"filler", filler_name(config_)}};
  }

 private:
  TaskConfig config_;
  Haystack haystack_;
};

} // namespace

std::unique_ptr<Task>
make_copy_task(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos) {
  constexpr std::int64_t kMostWords = 1024;
  if (config.words < 1 || config.words > kMostWords) {
    throw ConfigError(
        "task option words",
        std::string("must lie in 1..") + std::to_string(kMostWords),
        std::to_string(config.words));
  }
  return std::make_unique<CopyTask>(config, std::move(tokenizer), add_bos);
}

} // namespace fcc
