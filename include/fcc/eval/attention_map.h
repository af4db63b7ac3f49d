#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fcc/model/parameters.h"

namespace fcc {

/// Which attention matrices to look at. Layers, segments and heads are counted from 1, as people
/// (and the paper's figures) do.
struct AttentionMapOptions {
  std::vector<std::int64_t> layers;   ///< of the (global) stack
  std::vector<std::int64_t> segments; ///< s: queries of segment s over keys of segments s-1 and s
  std::optional<std::int64_t> head = std::nullopt; ///< default: the mean over all query heads
  bool after_softmax = false; ///< weights, else scores before the softmax (q·kᵀ / √E)
};

/// One matrix of arXiv 2405.04620, figure 10.
struct AttentionMap {
  std::int64_t layer = 0, segment = 0; ///< from 1
  std::int64_t num_queries = 0, num_keys = 0;
  std::int64_t num_memory = 0; ///< the first keys, of the segment before
  /// [queries, keys], scaled so that the least visible value is 0 and the largest 1; NaN: hidden.
  std::vector<double> values;
  double least = 0.0, largest = 0.0; ///< before that scaling
  /// Share of the queries' weights (after the softmax, of the heads shown) on memory: 0..1.
  double memory_share = 0.0;
};

/// Runs the text `ids` through the model and keeps the matrices asked for (of its first row: there
/// is one). Ordered by segment, then by layer.
/// Errors: `ConfigError` on a plain Llama (it has no segments), a text too short for the segments,
/// or a layer, segment or head that is not there.
std::vector<AttentionMap> attention_maps(
    const ModelConfig& config,
    const ModelWeights& weights,
    const std::vector<std::int32_t>& ids,
    const AttentionMapOptions& options);

} // namespace fcc
