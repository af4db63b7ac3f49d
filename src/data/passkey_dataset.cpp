#include <algorithm>
#include <optional>
#include <utility>

#include "data/datasets.h"
#include "data/made_dataset.h"
#include "data/row.h"
#include "fcc/core/random.h"
#include "fcc/data/passkey.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

/// Keeps the draw of places apart from the draw of digits.
constexpr std::uint64_t kPlaceSalt = 0x706C616365ULL;

class PasskeyDataset final : public MadeDataset {
 public:
  PasskeyDataset(
      const DatasetConfig& config,
      std::string name,
      std::shared_ptr<const Tokenizer> tokenizer,
      std::uint64_t seed,
      DocumentMarks marks)
      : MadeDataset(config, std::move(name), seed),
        task_(config, tokenizer, marks.bos),
        eos_(marks.eos ? tokenizer->eos_id() : std::nullopt) {}

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    Random random(seed_ ^ kPlaceSalt, static_cast<std::uint64_t>(position));
    const bool first = random.uniform() < config_.first_share;
    const double depth = config_.depth ? *config_.depth : random.uniform();
    const PasskeySample sample = make_passkey(
        task_,
        batch.shape.length_tokens(),
        depth,
        seed_,
        position,
        first ? NeedlePlace::kFirst : NeedlePlace::kInFiller);

    Row out(batch, row);
    const auto answer_at = std::copy(sample.prompt.begin(), sample.prompt.end(), out.ids.begin());
    std::copy(sample.answer.begin(), sample.answer.end(), answer_at);
    for (std::size_t i = 0; i + 1 < out.ids.size(); ++i) {
      const bool is_answer = i + 1 >= sample.prompt.size();
      out.set_target(i, out.ids[i + 1], target_weight(config_, is_answer), is_answer);
    }
    if (eos_) {
      out.set_target(out.ids.size() - 1, *eos_, target_weight(config_, false));
    }
    return position + 1;
  }

 private:
  PasskeyTask task_;
  std::optional<std::int32_t> eos_;
};

} // namespace

std::unique_ptr<Dataset> make_passkey_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks) {
  return std::make_unique<PasskeyDataset>(
      config, std::move(name), std::move(tokenizer), seed, marks);
}

} // namespace fcc
