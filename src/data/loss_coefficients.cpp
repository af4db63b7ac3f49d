#include "fcc/data/loss_coefficients.h"

#include <algorithm>
#include <string>

#include "fcc/core/error.h"

namespace fcc {
namespace {

// Calls visit(index, segment, weight) for every target whose weight is not zero.
template <typename Visit>
void for_each_counted(const Batch& batch, const Visit& visit) {
  const BatchShape& shape = batch.shape;
  const auto num_targets = static_cast<std::int64_t>(batch.targets.size());
  check(
      shape.batch_size >= 1 && shape.segment_length >= 1 && num_targets % shape.batch_size == 0,
      "loss_coefficients",
      "targets must hold batch_size rows of one length",
      std::to_string(num_targets) + " targets");
  check(
      batch.target_weights.empty() || batch.target_weights.size() == batch.targets.size(),
      "loss_coefficients",
      "every target needs one weight",
      std::to_string(batch.target_weights.size()) + " weights");
  const std::int64_t length = num_targets / shape.batch_size; // T
  for (std::int64_t row = 0; row < shape.batch_size; ++row) {
    for (std::int64_t t = shape.num_prefix_segments * shape.segment_length; t < length; ++t) {
      const auto i = static_cast<std::size_t>(row * length + t);
      const double weight = batch.target_weights.empty() ? 1.0 : batch.target_weights[i];
      if (batch.targets[i] != kIgnoredTarget && weight != 0.0) {
        visit(i, static_cast<std::size_t>(t / shape.segment_length), weight);
      }
    }
  }
}

} // namespace

void count_targets(const Batch& batch, LossCounts& counts) {
  for_each_counted(batch, [&](std::size_t, std::size_t segment, double weight) {
    if (segment >= counts.per_segment.size()) {
      counts.per_segment.resize(segment + 1, 0.0);
    }
    counts.per_segment[segment] += 1.0;
    counts.weight_sum += weight;
  });
  const auto num_segments = static_cast<std::size_t>(batch.shape.all_segments());
  counts.per_segment.resize(std::max(counts.per_segment.size(), num_segments), 0.0);
}

std::vector<double> loss_coefficients(const Batch& batch, const LossCounts& counts, LossKind kind) {
  std::vector<double> result(batch.targets.size(), 0.0);
  for_each_counted(batch, [&](std::size_t i, std::size_t segment, double weight) {
    check(
        segment < counts.per_segment.size() && counts.per_segment[segment] > 0,
        "loss_coefficients",
        "the counts must cover every micro-batch of the step",
        "a target in uncounted segment " + std::to_string(segment));
    const double divisor =
        kind == LossKind::kSegmentMeanSum ? counts.per_segment[segment] : counts.weight_sum;
    result[i] = weight / divisor;
  });
  return result;
}

} // namespace fcc
