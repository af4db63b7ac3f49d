#include <algorithm>
#include <utility>

#include "data/datasets.h"
#include "data/permutation.h"
#include "data/row.h"
#include "fcc/core/random.h"
#include "fcc/data/pairs.h"

namespace fcc {
namespace {

/// One pair a row. The position counts rows.
class PairDataset final : public Dataset {
 public:
  PairDataset(
      const DatasetConfig& config,
      std::string name,
      std::shared_ptr<const Tokenizer> tokenizer,
      std::uint64_t seed,
      DocumentMarks marks)
      : config_(config),
        seed_(seed),
        file_(
            required_path(config, name),
            {.prompt = config.prompt_key, .answer = config.answer_key}),
        template_(std::move(tokenizer), marks, config.prompt_template),
        name_(std::move(name)) {}

  const std::string& name() const override {
    return name_;
  }
  std::string fingerprint() const override {
    return file_.fingerprint();
  }

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    // The last token is a target only: a row of T ids has room for T + 1.
    const PairSample sample =
        template_.fit(file_.at(row_of(position)), batch.shape.length_tokens() + 1);
    Row out(batch, row);
    std::vector<std::int32_t> sequence = sample.prompt;
    sequence.insert(sequence.end(), sample.answer.begin(), sample.answer.end());
    std::copy(sequence.begin(), sequence.end() - 1, out.ids.begin());
    batch.num_padding +=
        batch.shape.length_tokens() - static_cast<std::int64_t>(sequence.size() - 1);
    for (std::size_t i = 0; i + 1 < sequence.size(); ++i) {
      const bool is_answer = i + 1 >= sample.prompt.size();
      out.set_target(i, sequence[i + 1], target_weight(config_, is_answer), is_answer);
    }
    return position + 1;
  }

  std::int64_t skip(const BatchShape& /*shape*/, std::int64_t position) const override {
    return position + 1;
  }

  double epochs(std::int64_t position) const override {
    return static_cast<double>(position) / static_cast<double>(file_.size());
  }

  /// Of rows spread evenly over the file: to tokenise all of them takes as long as an epoch.
  double padded_share(const BatchShape& shape) const override {
    constexpr std::int64_t kMostRows = 64;
    const std::int64_t num_rows = std::min(kMostRows, file_.size());
    double filled = 0.0;
    for (std::int64_t i = 0; i < num_rows; ++i) {
      const std::int64_t row = i * (file_.size() / num_rows);
      const PairSample sample = template_.fit(file_.at(row), shape.length_tokens() + 1);
      filled += static_cast<double>(sample.prompt.size() + sample.answer.size() - 1);
    }
    return 1.0 -
           filled / static_cast<double>(shape.length_tokens()) / static_cast<double>(num_rows);
  }

 private:
  /// Which row of the file stands at a position.
  std::int64_t row_of(std::int64_t position) const {
    const std::int64_t epoch = position / file_.size(), at = position % file_.size();
    if (!config_.shuffle) {
      return at;
    }
    return Permutation(file_.size(), Random(seed_, static_cast<std::uint64_t>(epoch)).next())(at);
  }

  DatasetConfig config_;
  std::uint64_t seed_;
  PairFile file_;
  PairTemplate template_;
  std::string name_;
};

} // namespace

std::unique_ptr<Dataset> make_pair_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks) {
  return std::make_unique<PairDataset>(config, std::move(name), std::move(tokenizer), seed, marks);
}

} // namespace fcc
