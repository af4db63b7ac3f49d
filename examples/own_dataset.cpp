// A dataset of one's own: rows that say a word and then ask for its letters backwards. It stands in
// a mixture with a dataset of the library, and goes on where it was after a restart.
//
// usage: own_dataset
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "fcc/fcc.h"

namespace {

/// Row `position` is made from seed and position alone, so that a run resumes by a number.
class BackwardWords final : public fcc::Dataset {
 public:
  BackwardWords(std::shared_ptr<const fcc::Tokenizer> tokenizer, std::uint64_t seed)
      : tokenizer_(std::move(tokenizer)), seed_(seed) {}

  const std::string& name() const override {
    return name_;
  }

  std::int64_t fill(fcc::Batch& batch, std::int64_t row, std::int64_t position) const override {
    fcc::Random random(seed_, static_cast<std::uint64_t>(position));
    const auto length = static_cast<std::size_t>(batch.shape.length_tokens());
    const auto first = static_cast<std::size_t>(row) * length;
    std::string word;
    for (std::size_t i = 0; i < length / 3; ++i) {
      word += static_cast<char>('a' + static_cast<char>(random.below(26)));
    }
    const std::string backwards(word.rbegin(), word.rend());
    const std::vector<std::int32_t> prompt = tokenizer_->encode(word + " backwards: ");
    std::vector<std::int32_t> ids = prompt;
    tokenizer_->encode(backwards, ids);
    ids.resize(std::min(ids.size(), length + 1)); // the last one is a target only

    // `batch` comes with ids 0 and no targets. Targets are shifted: that of i is token i + 1.
    for (std::size_t i = 0; i < std::min(ids.size(), length); ++i) {
      batch.ids[first + i] = ids[i];
      if (i + 1 < ids.size() && i + 1 >= prompt.size()) { // the loss is on the answer alone
        batch.targets[first + i] = ids[i + 1];
        batch.target_weights[first + i] = 1.0F;
        batch.answer[first + i] = 1;
      }
    }
    return position + 1;
  }

  std::int64_t skip(const fcc::BatchShape& /*shape*/, std::int64_t position) const override {
    return position + 1;
  }
  double epochs(std::int64_t /*position*/) const override {
    return 0.0; // made on the fly: there is no end
  }
  double padded_share(const fcc::BatchShape& /*shape*/) const override {
    return 0.0;
  }

 private:
  std::shared_ptr<const fcc::Tokenizer> tokenizer_;
  std::uint64_t seed_;
  std::string name_ = "backward words";
};

fcc::Loader make_mixture(const std::shared_ptr<const fcc::Tokenizer>& tokenizer) {
  std::vector<std::unique_ptr<fcc::Dataset>> datasets;
  datasets.push_back(std::make_unique<BackwardWords>(tokenizer, /*seed=*/3));
  fcc::DatasetConfig passkey;
  passkey.type = fcc::DatasetKind::kPasskey;
  datasets.push_back(fcc::make_dataset(passkey, "passkey", tokenizer, /*seed=*/3));
  return {std::move(datasets), /*weights=*/{3.0, 1.0}, /*seed=*/3};
}

int run() {
  fcc::TokenizerConfig bytes;
  bytes.type = fcc::TokenizerKind::kBytes;
  const std::shared_ptr<const fcc::Tokenizer> tokenizer = fcc::make_tokenizer(bytes);
  const fcc::BatchShape shape{.batch_size = 4, .num_segments = 8, .segment_length = 32};

  fcc::Loader loader = make_mixture(tokenizer);
  loader.next(shape);
  const fcc::Loader::State saved = loader.state(); // what a checkpoint keeps
  const fcc::Batch batch = loader.next(shape);

  fcc::Loader again = make_mixture(tokenizer);
  again.restore(saved);
  const bool same = again.next(shape).ids == batch.ids;

  const auto targets = std::count_if(batch.targets.begin(), batch.targets.end(), [](auto target) {
    return target != fcc::kIgnoredTarget;
  });
  std::printf("%zu ids, %lld targets\n", batch.ids.size(), static_cast<long long>(targets));
  std::printf("%s\n", same ? "the same rows after a restart" : "other rows after a restart");
  return same && targets > 0 ? 0 : 1;
}

} // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
