// The paper's task (data/passkey.h) as one of all tasks.
#include <algorithm>
#include <string>
#include <utility>

#include "data/tasks.h"
#include "fcc/core/random.h"
#include "fcc/data/passkey.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

class PasskeyAsTask final : public Task {
 public:
  PasskeyAsTask(
      const DatasetConfig& config,
      const std::shared_ptr<const Tokenizer>& tokenizer,
      bool add_bos)
      : Task(tokenizer), config_(config), task_(config, tokenizer, add_bos) {}

  TaskSample make(TaskLength length, double depth, Random& random) const override {
    const auto seed = random.next();
    std::int64_t length_tokens = length.longest_tokens;
    if (length.shortest_tokens < length.longest_tokens) {
      const std::int64_t shortest =
          std::max(length.shortest_tokens, task_.min_length_tokens(seed, 0));
      length_tokens -= random.below(std::max<std::int64_t>(1, length_tokens - shortest + 1));
    }
    PasskeySample made = make_passkey(task_, length_tokens, depth, seed, 0);
    const auto answer_tokens = static_cast<std::int64_t>(made.answer.size());
    return {
        .prompt = std::move(made.prompt),
        .answer = std::move(made.answer),
        .answer_tokens = answer_tokens,
        .values = {std::move(made.digits)}};
  }

  std::map<std::string, std::string> identity() const override {
    const auto text = [](const std::optional<std::string>& value) {
      return value.value_or("(the paper's)");
    };
    std::map<std::string, std::string> identity = {
        {"task", "passkey"},
        {"digits", std::to_string(config_.digits)},
        {"intro", text(config_.intro)},
        {"filler", text(config_.filler)},
        {"needle", text(config_.needle)},
        {"question", text(config_.question)}};
    for (const auto& [name, blocks] : EnumNames<FillerBlocks>::value) {
      if (blocks == config_.filler_blocks && blocks != FillerBlocks::kCut) {
        identity["filler_blocks"] = name; // left out otherwise: older logs go on
      }
    }
    return identity;
  }

 private:
  DatasetConfig config_;
  PasskeyTask task_;
};

} // namespace

std::unique_ptr<Task> make_passkey_task(
    const TaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos) {
  return std::make_unique<PasskeyAsTask>(config.passkey, std::move(tokenizer), add_bos);
}

} // namespace fcc
