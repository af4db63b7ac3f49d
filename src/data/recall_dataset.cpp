#include <algorithm>
#include <utility>

#include "data/datasets.h"
#include "data/made_dataset.h"
#include "data/row.h"
#include "fcc/core/random.h"
#include "fcc/data/recall.h"
#include "fcc/data/token_file.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

/// Keeps these rows apart from what other datasets draw from the same seed.
constexpr std::uint64_t kRecallSalt = 0x726563616C6CULL;

std::shared_ptr<const TokenFile> open_text(
    const DatasetConfig& config,
    const Tokenizer& tokenizer) {
  if (!config.path) {
    return nullptr;
  }
  auto file = std::make_shared<const TokenFile>(*config.path);
  file->require_tokenizer(tokenizer);
  return file;
}

class RecallDataset final : public MadeDataset {
 public:
  RecallDataset(
      const DatasetConfig& config,
      std::string name,
      std::shared_ptr<const Tokenizer> tokenizer,
      std::uint64_t seed,
      DocumentMarks marks)
      : MadeDataset(config, std::move(name), seed),
        text_(open_text(config, *tokenizer)),
        task_(config, std::move(tokenizer), text_, marks.bos) {}

  std::string fingerprint() const override {
    return text_ ? text_->fingerprint() : std::string();
  }

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    Random random(seed_ ^ kRecallSalt, static_cast<std::uint64_t>(position));
    const RecallRow made = task_.make(
        {.length_tokens = batch.shape.length_tokens(),
         .first_graded_token = batch.shape.num_prefix_segments * batch.shape.segment_length},
        random);
    Row out(batch, row);
    std::copy(made.ids.begin(), made.ids.end() - 1, out.ids.begin());
    for (std::size_t i = 0; i + 1 < made.ids.size(); ++i) {
      const bool is_answer = made.answer[i + 1] != 0;
      out.set_target(i, made.ids[i + 1], target_weight(config_, is_answer), is_answer);
    }
    return position + 1;
  }

 private:
  std::shared_ptr<const TokenFile> text_;
  RecallTask task_;
};

} // namespace

std::unique_ptr<Dataset> make_recall_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks) {
  return std::make_unique<RecallDataset>(
      config, std::move(name), std::move(tokenizer), seed, marks);
}

} // namespace fcc
