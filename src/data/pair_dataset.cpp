#include <algorithm>
#include <utility>

#include "data/datasets.h"
#include "data/row.h"
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
      DocumentMarks marks)
      : config_(config),
        file_(required_path(config, name)),
        template_(std::move(tokenizer), marks),
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
        template_.fit(file_.at(position % file_.size()), batch.shape.length_tokens() + 1);
    Row out(batch, row);
    std::vector<std::int32_t> sequence = sample.prompt;
    sequence.insert(sequence.end(), sample.answer.begin(), sample.answer.end());
    std::copy(sequence.begin(), sequence.end() - 1, out.ids.begin());
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

  double padded_share(const BatchShape& /*shape*/) const override {
    return 0.0;
  }

 private:
  DatasetConfig config_;
  PairFile file_;
  PairTemplate template_;
  std::string name_;
};

} // namespace

std::unique_ptr<Dataset> make_pair_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    DocumentMarks marks) {
  return std::make_unique<PairDataset>(config, std::move(name), std::move(tokenizer), marks);
}

} // namespace fcc
