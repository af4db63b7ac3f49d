// Stories scattered in a long text, after BABILong (arXiv 2406.10149): qa1 to qa5.
#include <algorithm>
#include <string>
#include <utility>

#include "data/haystack.h"
#include "data/story.h"
#include "data/tasks.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

constexpr const char* kIntro =
    "Facts about people, things and places are hidden within the following text. Remember them: a "
    "question comes at the end.";

class StoryTask final : public Task {
 public:
  StoryTask(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos)
      : Task(tokenizer),
        config_(config),
        kind_(static_cast<StoryKind>(config.task.back() - '0')),
        haystack_(config, std::move(tokenizer), add_bos) {}

  TaskSample make(TaskLength length, double depth, Random& random) const override {
    Story story = draw_story(kind_, config_.facts, random);
    std::vector<double> places{depth};
    while (places.size() < story.facts.size()) {
      places.push_back(depth + (1.0 - depth) * random.uniform());
    }
    std::sort(places.begin(), places.end());
    HaystackSample said{
        .intro = kIntro,
        .texts = {},
        .question = std::string("Question: ") + story.question + " Answer:",
        .answer = story.answer};
    for (std::size_t i = 0; i < places.size(); ++i) {
      said.texts.push_back({std::move(story.facts[i]), places[i]});
    }
    TaskSample sample = haystack_.write(length, std::move(said), random);
    sample.values = {std::move(story.answer)};
    return sample;
  }

  std::map<std::string, std::string> identity() const override {
    return {
        {"task", config_.task},
        {"facts", std::to_string(config_.facts)},
        {"filler", filler_name(config_)}};
  }

 private:
  TaskConfig config_;
  StoryKind kind_;
  Haystack haystack_;
};

} // namespace

std::unique_ptr<Task> make_story_task(
    const TaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos) {
  Random random(0);
  draw_story(static_cast<StoryKind>(config.task.back() - '0'), config.facts, random); // or refuses
  return std::make_unique<StoryTask>(config, std::move(tokenizer), add_bos);
}

} // namespace fcc
