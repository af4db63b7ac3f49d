#include "fcc/train/weight_exchange.h"

#include <limits>

#include <ATen/ops/cat.h>

namespace fcc {
namespace {

/// The elements of some ranges, one after another.
at::Tensor packed(const at::Tensor& flat, const std::vector<FlatRange>& ranges) {
  std::vector<at::Tensor> parts;
  for (const FlatRange& range : ranges) {
    parts.push_back(flat.slice(0, range.first, range.end));
  }
  return at::cat(parts);
}

void unpack(
    const at::Tensor& values,
    const at::Tensor& flat,
    const std::vector<FlatRange>& ranges) {
  std::int64_t first = 0;
  for (const FlatRange& range : ranges) {
    const std::int64_t count = range.end - range.first;
    flat.slice(0, range.first, range.end).copy_(values.narrow(0, first, count));
    first += count;
  }
}

} // namespace

WeightExchange::WeightExchange(
    Communicator& ranks,
    FlatParameters& parameters,
    std::int64_t least_elements)
    : ranks_(ranks),
      parameters_(parameters),
      shares_(FlatShares::cut(parameters, ranks.size(), least_elements)) {}

PassHooks WeightExchange::hooks(bool last_pass) {
  PassHooks hooks;
  if (num_gathered_ < gathered_.size()) {
    hooks.before_use = [this](std::int64_t layer) { wait_for_layer(layer); };
  }
  if (last_pass && ranks_.size() > 1) {
    hooks.gradients_done = [this](std::int64_t layer) {
      const std::size_t count = shares_.buckets.size();
      // Outside first, then from the last layers down; a bucket is complete with its first layer.
      for (; num_begun_ < count; ++num_begun_) {
        const FlatBucket& bucket = shares_.buckets[num_begun_ == 0 ? 0 : count - num_begun_];
        if (layer >= 0 ? bucket.first_layer >= 0 && bucket.first_layer < layer
                       : bucket.first_layer >= 0) {
          break;
        }
        begin_sum(bucket);
      }
    };
  }
  return hooks;
}

void WeightExchange::begin_sum(const FlatBucket& bucket) {
  const at::Tensor& grad = parameters_.grad();
  std::vector<RankTensors> parts;
  for (const FlatRange& range : bucket.ranges) {
    const FlatRange own = shares_.part_of(range, ranks_.rank());
    parts.push_back({grad.slice(0, range.first, range.end), grad.slice(0, own.first, own.end)});
  }
  sums_.push_back(ranks_.begin_reduce_scatter(parts));
}

void WeightExchange::finish_sums() {
  if (ranks_.size() == 1) {
    return;
  }
  finish_gathering(); // the update that comes next must not meet it
  const std::size_t count = shares_.buckets.size();
  for (; num_begun_ < count; ++num_begun_) {
    begin_sum(shares_.buckets[num_begun_ == 0 ? 0 : count - num_begun_]);
  }
  num_begun_ = 0;
  for (const auto& sum : sums_) {
    sum->wait();
  }
  sums_.clear();
  if (!shares_.left_over.empty()) {
    const at::Tensor values = packed(parameters_.grad(), shares_.left_over);
    ranks_.all_reduce(values);
    unpack(values, parameters_.grad(), shares_.left_over);
  }
}

void WeightExchange::begin_gathering() {
  if (ranks_.size() == 1) {
    return;
  }
  finish_gathering();
  const at::Tensor& compute = parameters_.compute();
  if (!shares_.left_over.empty()) {
    const at::Tensor values = packed(compute, shares_.left_over);
    ranks_.broadcast(values);
    unpack(values, compute, shares_.left_over);
  }
  for (const FlatBucket& bucket : shares_.buckets) {
    std::vector<RankTensors> parts;
    for (const FlatRange& range : bucket.ranges) {
      const FlatRange own = shares_.part_of(range, ranks_.rank());
      parts.push_back(
          {compute.slice(0, own.first, own.end), compute.slice(0, range.first, range.end)});
    }
    gathered_.push_back(ranks_.begin_all_gather(parts));
  }
}

void WeightExchange::wait_for_layer(std::int64_t layer) {
  for (; num_gathered_ < gathered_.size() && shares_.buckets[num_gathered_].first_layer <= layer;
       ++num_gathered_) {
    gathered_[num_gathered_]->wait();
  }
}

void WeightExchange::finish_gathering() {
  wait_for_layer(std::numeric_limits<std::int64_t>::max());
  gathered_.clear();
  num_gathered_ = 0;
}

} // namespace fcc
