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
        eos_(eos_of(*tokenizer, marks)) {}

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    Random random(seed_ ^ kPlaceSalt, static_cast<std::uint64_t>(position));
    const bool first = random.uniform() < config_.first_share;
    const double depth = config_.depth ? *config_.depth : random.uniform();
    const std::int64_t longest = batch.shape.length_tokens();
    std::int64_t length = longest;
    if (config_.length == RowLength::kFree) {
      const std::int64_t needed = task_.min_length_tokens(seed_, position),
                         shortest = std::max(needed, shortest_of(config_, batch.shape));
      length = std::min(longest, shortest) +
               random.below(std::max<std::int64_t>(1, longest - shortest + 1));
    }
    const PasskeySample sample = make_passkey(
        task_,
        length,
        depth,
        seed_,
        position,
        first ? NeedlePlace::kFirst : NeedlePlace::kInFiller);
    fill_row(batch, row, sample.prompt, sample.answer, eos_, config_);
    return position + 1;
  }
  double padded_share(const BatchShape& shape) const override {
    return padding_of(config_, shape);
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
