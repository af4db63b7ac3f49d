#include "fcc/data/loader.h"

#include <numeric>
#include <string_view>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/core/error_at.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

/// What a dataset is called that has no name: its task, or its type.
std::string kind_name(const DatasetConfig& config) {
  if (config.task) {
    return *config.task;
  }
  for (const auto& [name, value] : EnumNames<DatasetKind>::value) {
    if (value == config.type) {
      return std::string(name);
    }
  }
  return "dataset";
}

Batch empty_batch(const BatchShape& shape) {
  if (shape.batch_size < 1 || shape.num_segments < 0 || shape.num_prefix_segments < 0 ||
      shape.all_segments() < 1 || shape.segment_length < 1) {
    throw ConfigError(
        "batch",
        "rows, segments and tokens in a segment must be at least 1",
        std::to_string(shape.batch_size) + " rows of " + std::to_string(shape.all_segments()) +
            " segments of " + std::to_string(shape.segment_length) + " tokens");
  }
  constexpr double kMaxTokens = 2147483648.0; // 2^31: the arrays of such a batch take 28 GB
  const double num_tokens = static_cast<double>(shape.batch_size) *
                            static_cast<double>(shape.all_segments()) *
                            static_cast<double>(shape.segment_length);
  if (num_tokens > kMaxTokens) {
    throw ConfigError(
        "batch",
        "may have at most 2^31 tokens",
        std::to_string(shape.batch_size) + " rows of " + std::to_string(shape.all_segments()) +
            " segments of " + std::to_string(shape.segment_length) + " tokens");
  }
  const auto rows = static_cast<std::size_t>(shape.batch_size);
  const auto tokens = rows * static_cast<std::size_t>(shape.length_tokens());
  Batch batch;
  batch.shape = shape;
  batch.ids.assign(tokens, 0);
  batch.targets.assign(tokens, kIgnoredTarget);
  batch.target_weights.assign(tokens, 0.0F);
  batch.answer.assign(tokens, 0);
  batch.segment_starts_document.assign(rows * static_cast<std::size_t>(shape.all_segments()), 0);
  return batch;
}

/// The index whose share of the weights `drawn` in [0, 1) falls into.
std::size_t pick(const std::vector<double>& weights, double drawn) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double upper = 0.0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    upper += weights[i];
    if (weights[i] > 0.0) {
      last = i;
      if (drawn * total < upper) {
        return i;
      }
    }
  }
  return last;
}

} // namespace

Loader::Loader(
    std::vector<std::unique_ptr<Dataset>> datasets,
    std::vector<double> weights,
    std::uint64_t seed)
    : datasets_(std::move(datasets)), weights_(std::move(weights)), seed_(seed) {
  if (datasets_.empty()) {
    throw ConfigError("data", "at least one dataset is needed", "none");
  }
  check(weights_.size() == datasets_.size(), "Loader", "each dataset must have one weight");
  double total = 0.0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (!(weights_[i] >= 0.0)) {
      throw ConfigError(
          "data `" + datasets_[i]->name() + "`",
          "weight must be at least 0",
          std::to_string(weights_[i]));
    }
    total += weights_[i];
  }
  if (!(total > 0.0)) {
    throw ConfigError("data", "at least one dataset must have a weight above 0");
  }
  state_.positions.assign(datasets_.size(), 0);
}

double Loader::share(std::size_t dataset) const {
  return weights_.at(dataset) / std::accumulate(weights_.begin(), weights_.end(), 0.0);
}

Batch Loader::next(const BatchShape& shape, std::int64_t rank, std::int64_t num_ranks) {
  check(rank >= 0 && rank < num_ranks, "Loader", "rank must be below the number of ranks");
  Batch batch = empty_batch(shape);
  State after = state_;
  for (std::int64_t row = 0; row < num_ranks * shape.batch_size; ++row, ++after.rows_drawn) {
    const double drawn = Random(seed_, static_cast<std::uint64_t>(after.rows_drawn)).uniform();
    const std::size_t index = pick(weights_, drawn);
    std::int64_t& position = after.positions[index];
    const std::int64_t own_row = row - rank * shape.batch_size;
    position = own_row >= 0 && own_row < shape.batch_size
                   ? datasets_[index]->fill(batch, own_row, position)
                   : datasets_[index]->skip(shape, position);
  }
  state_ = std::move(after);
  return batch;
}

void Loader::restore(State state) {
  if (state.positions.size() != datasets_.size()) {
    throw Error(
        "Loader",
        "a saved position belongs to " + std::to_string(state.positions.size()) + " datasets",
        std::to_string(datasets_.size()));
  }
  bool valid = state.rows_drawn >= 0;
  for (const std::int64_t position : state.positions) {
    valid = valid && position >= 0;
  }
  check(valid, "Loader", "saved positions must not be negative");
  state_ = std::move(state);
}

Loader make_loader(
    const std::vector<DatasetConfig>& datasets,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks,
    const std::string& key) {
  std::vector<std::unique_ptr<Dataset>> made;
  std::vector<double> weights;
  for (std::size_t i = 0; i < datasets.size(); ++i) {
    const std::string name = datasets[i].name.empty()
                                 ? kind_name(datasets[i]) + "_" + std::to_string(i)
                                 : datasets[i].name;
    // Datasets of one loader must not draw the same numbers, and neither the loader's own.
    const std::uint64_t own_seed = Random(seed, i, 1).next();
    const auto make = [&] {
      made.push_back(make_dataset(datasets[i], name, tokenizer, own_seed, marks));
    };
    if (key.empty()) {
      make();
    } else {
      with_place(key + '.' + std::to_string(i) + (datasets[i].path ? ".path" : ""), make);
    }
    weights.push_back(datasets[i].weight);
  }
  return Loader(std::move(made), std::move(weights), seed);
}

} // namespace fcc
