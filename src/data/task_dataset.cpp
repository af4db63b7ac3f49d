#include <optional>
#include <utility>

#include "data/datasets.h"
#include "data/made_dataset.h"
#include "data/row.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/data/task.h"
#include "fcc/io/files.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

/// Keeps the draws of this kind of row apart from those of others of the same seed.
constexpr std::uint64_t kTaskSalt = 0x7461736BULL; // "task"

TaskConfig task_of(const DatasetConfig& config, const Tokenizer& tokenizer) {
  if (!config.task) {
    throw ConfigError("data `task`", "must name a task");
  }
  TaskConfig task = task_config(*config.task, config.options.value_or(TaskOptions()));
  if (config.path) {
    stand_in_text(task, *config.path, tokenizer);
    if (!config.path->ends_with(".safetensors")) {
      task.haystack_name = sha256_hex_of_file(*config.path); // wherever the file is moved to
    }
  }
  return task;
}

class TaskDataset final : public MadeDataset {
 public:
  TaskDataset(
      const DatasetConfig& config,
      std::string name,
      const TaskConfig& task,
      const std::shared_ptr<const Tokenizer>& tokenizer,
      std::uint64_t seed,
      DocumentMarks marks)
      : MadeDataset(config, std::move(name), seed),
        text_name_(task.haystack_name),
        task_(make_task(task, tokenizer, marks.bos)),
        eos_(eos_of(*tokenizer, marks)) {}

  std::string fingerprint() const override {
    return text_name_;
  }

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    Random random(seed_ ^ kTaskSalt, static_cast<std::uint64_t>(position));
    const double depth = random.uniform();
    const TaskSample sample = task_->make(
        {shortest_of(config_, batch.shape), batch.shape.length_tokens()}, depth, random);
    fill_row(batch, row, sample.prompt, sample.answer, eos_, config_);
    return position + 1;
  }
  double padded_share(const BatchShape& shape) const override {
    return padding_of(config_, shape);
  }

 private:
  std::string text_name_;
  std::unique_ptr<Task> task_;
  std::optional<std::int32_t> eos_;
};

} // namespace

std::unique_ptr<Dataset> make_task_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks) {
  const TaskConfig task = task_of(config, *tokenizer);
  return std::make_unique<TaskDataset>(config, std::move(name), task, tokenizer, seed, marks);
}

} // namespace fcc
