#include "fcc/train/validation.h"

#include <algorithm>
#include <cmath>

#include "fcc/core/error_at.h"
#include "fcc/data/loss_coefficients.h"
#include "fcc/train/micro_batch.h"

namespace fcc {
namespace {

/// Keeps validation rows apart from training rows of the same seed.
constexpr std::uint64_t kValidationSeed = 0x76616C6964ULL; // "valid"

/// A sum and the number of its terms.
struct Mean {
  double sum = 0;
  double count = 0;

  void add(double value) {
    sum += value;
    count += 1;
  }
  std::optional<double> value() const {
    return count > 0 ? std::optional<double>(sum / count) : std::nullopt;
  }
};

/// Adds up the losses of batches, target by target, in a fixed order.
struct Tally {
  Mean all, answers, certain_rows;
  std::vector<Mean> segments;

  /// `losses`: [B, T] float64 on the CPU.
  void add(const Batch& batch, const std::vector<double>& coefficients, const double* losses) {
    const auto num_rows = static_cast<std::size_t>(batch.shape.batch_size);
    const std::size_t length = batch.ids.size() / num_rows;
    for (std::size_t row = 0; row < num_rows; ++row) {
      bool has_answer = false, certain = true;
      for (std::size_t t = 0; t < length; ++t) {
        const std::size_t i = row * length + t;
        if (coefficients[i] == 0.0) {
          continue;
        }
        all.add(losses[i]);
        segments[t / static_cast<std::size_t>(batch.shape.segment_length)].add(losses[i]);
        if (batch.answer[i] != 0) {
          answers.add(losses[i]);
          has_answer = true;
          certain = certain && losses[i] < std::log(2.0);
        }
      }
      if (has_answer) {
        certain_rows.add(certain ? 1.0 : 0.0);
      }
    }
  }

  /// Adds the tallies of all ranks up.
  void sum_over(Communicator& ranks) {
    std::vector<Mean*> means = {&all, &answers, &certain_rows};
    for (Mean& segment : segments) {
      means.push_back(&segment);
    }
    std::vector<double> numbers;
    for (const Mean* mean : means) {
      numbers.insert(numbers.end(), {mean->sum, mean->count});
    }
    numbers = sum_over_ranks(ranks, numbers);
    for (std::size_t i = 0; i < means.size(); ++i) {
      *means[i] = {numbers[2 * i], numbers[2 * i + 1]};
    }
  }
};

/// Every counted target alike: validation reports plain means whatever the training's weights are.
void count_alike(Batch& batch) {
  for (std::size_t i = 0; i < batch.targets.size(); ++i) {
    batch.target_weights[i] = batch.targets[i] != kIgnoredTarget && batch.target_weights[i] != 0.0F;
  }
}

} // namespace

Validator::Validator(
    const RunConfig& config,
    DocumentMarks marks,
    const std::shared_ptr<const Tokenizer>& tokenizer)
    : train_(config.train) {
  for (std::size_t i = 0; i < config.data.validation.size(); ++i) {
    const DatasetConfig& dataset = config.data.validation[i];
    const std::string key = "data.validation." + std::to_string(i) + (dataset.path ? ".path" : "");
    Loader loader = with_place(key, [&] {
      return make_loader(
          {dataset}, tokenizer, static_cast<std::uint64_t>(train_.seed) ^ kValidationSeed, marks);
    });
    std::string name = loader.datasets().at(0)->name();
    const bool taken = std::any_of(sources_.begin(), sources_.end(), [&](const Source& source) {
      return source.name == name;
    });
    if (taken) {
      name += '-';
      name += std::to_string(sources_.size());
    }
    Loader::State start = loader.state();
    sources_.push_back({std::move(name), std::move(loader), std::move(start)});
  }
}

std::vector<ValidationReport> Validator::run(
    Executor& executor,
    FlatParameters& parameters,
    std::int64_t segment_length,
    Communicator& ranks) {
  const BatchShape shape{
      .batch_size = train_.batch_size / ranks.size(),
      .num_segments = train_.validation_segments,
      .num_prefix_segments = 0,
      .segment_length = segment_length};
  std::vector<ValidationReport> reports;
  for (Source& source : sources_) {
    source.loader.restore(source.start);
    Tally tally;
    tally.segments.resize(static_cast<std::size_t>(shape.num_segments));
    for (std::int64_t i = 0; i < train_.validation_batches; ++i) {
      Batch batch = source.loader.next(shape, ranks.rank(), ranks.size());
      count_alike(batch);
      LossCounts counts;
      count_targets(batch, counts);
      const std::vector<double> coefficients =
          loss_coefficients(batch, counts, LossKind::kTokenMean);
      const at::Tensor& master = parameters.master();
      const PassResult result = executor.evaluate(
          to_micro_batch(batch, coefficients, master.device(), master.scalar_type()), nullptr);
      const at::Tensor losses = result.token_losses.to(at::kCPU, at::kDouble).contiguous();
      tally.add(batch, coefficients, losses.const_data_ptr<double>());
    }
    tally.sum_over(ranks);
    ValidationReport report;
    report.dataset = source.name;
    report.mean_loss = tally.all.value().value_or(0.0);
    report.answer_loss = tally.answers.value();
    report.answers_certain = tally.certain_rows.value();
    for (const Mean& segment : tally.segments) {
      report.segment_losses.push_back(segment.value());
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

} // namespace fcc
