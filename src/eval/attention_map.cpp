#include "fcc/eval/attention_map.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/full.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include "eval/pictures.h"
#include "fcc/core/error.h"
#include "fcc/eval/report.h"
#include "fcc/generate/stream.h"
#include "fcc/model/memory_policy.h"

namespace fcc {
namespace {

constexpr double kHidden = std::numeric_limits<double>::quiet_NaN();

void check_between(const char* key, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least || value > most) {
    throw ConfigError(
        key,
        "must lie in " + std::to_string(least) + ".." + std::to_string(most),
        std::to_string(value));
  }
}

void check_options(
    const ModelConfig& config,
    std::int64_t num_tokens,
    const AttentionMapOptions& options) {
  if (config.arch() == Architecture::kLlama) {
    throw ConfigError("attention-map", "needs a model with segments", "a plain Llama");
  }
  if (!MemoryPolicy(config).is_rows_before()) {
    throw ConfigError(
        "attention-map",
        "needs a memory that attention sees as rows before the segment's",
        std::string(enum_name(config.arch())));
  }
  if (options.layers.empty() || options.segments.empty()) {
    throw ConfigError("attention-map", "needs at least one layer and one segment");
  }
  const std::int64_t L = config.fcc->segment_length;
  if (num_tokens < L) {
    throw ConfigError(
        "attention-map",
        "the text must fill at least one segment of " + std::to_string(L) + " tokens",
        std::to_string(num_tokens) + " tokens");
  }
  for (const std::int64_t layer : options.layers) {
    check_between("layers", layer, 1, config.num_hidden_layers);
  }
  for (const std::int64_t segment : options.segments) {
    check_between("segments", segment, 1, num_tokens / L);
  }
  if (options.head) {
    check_between("head", *options.head, 1, config.num_attention_heads);
  }
}

struct Matrix {
  at::Tensor shown; ///< [t, c] float64, NaN where hidden
  double memory_share = 0.0;
};

// Scores (or weights) of one row's queries over its keys.
Matrix matrix_of(const LayerView& view, const AttentionMapOptions& options) {
  const std::int64_t t = view.q.size(1), H = view.q.size(2), E = view.q.size(3);
  const std::int64_t c = view.k.size(1), G = view.k.size(2);
  const at::Tensor q = view.q[0].to(at::kCPU, at::kDouble);                             // [t, H, E]
  const at::Tensor k = view.k[0].to(at::kCPU, at::kDouble).repeat_interleave(H / G, 1); // [c, H, E]
  const double scale = 1 / std::sqrt(static_cast<double>(E));
  const at::Tensor scores = at::einsum("qhe,khe->hqk", {q, k}) * scale; // [H, t, c]
  // Query i sees key j where j ≤ i + c - t (figure 3).
  const at::Tensor hidden = at::full({t, c}, 1, at::kInt).triu(c - t + 1).to(at::kBool); // [t, c]
  const at::Tensor weights =
      scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()).softmax(-1);
  const auto of_heads = [&](const at::Tensor& all) {
    return options.head ? all[*options.head - 1] : all.mean(0);
  };
  return {
      .shown = of_heads(options.after_softmax ? weights : scores)
                   .masked_fill(hidden, kHidden)
                   .contiguous(),
      .memory_share = of_heads(weights).narrow(1, 0, c - t).sum(1).mean().item<double>()};
}

AttentionMap map_of(const Matrix& of, std::int64_t layer, std::int64_t segment) {
  const at::Tensor& matrix = of.shown;
  AttentionMap map;
  map.memory_share = of.memory_share;
  map.layer = layer;
  map.segment = segment;
  map.num_queries = matrix.size(0);
  map.num_keys = matrix.size(1);
  map.num_memory = map.num_keys - map.num_queries;
  const double* data = matrix.const_data_ptr<double>();
  map.values.assign(data, data + matrix.numel());
  map.least = std::numeric_limits<double>::infinity();
  map.largest = -map.least;
  for (const double value : map.values) {
    if (!std::isnan(value)) {
      map.least = std::min(map.least, value);
      map.largest = std::max(map.largest, value);
    }
  }
  const double range = map.largest > map.least ? map.largest - map.least : 1.0;
  for (double& value : map.values) {
    value = (value - map.least) / range;
  }
  return map;
}

// Means of the visible values in squares of `factor` pixels.
RasterPanel panel_of(const AttentionMap& map, std::int64_t factor) {
  RasterPanel panel;
  panel.width = (map.num_keys + factor - 1) / factor;
  panel.height = (map.num_queries + factor - 1) / factor;
  const auto size = static_cast<std::size_t>(panel.width * panel.height);
  std::vector<double> sums(size, 0.0), counts(size, 0.0);
  for (std::int64_t i = 0; i < map.num_queries; ++i) {
    for (std::int64_t j = 0; j < map.num_keys; ++j) {
      const double value = map.values[static_cast<std::size_t>(i * map.num_keys + j)];
      const auto to = static_cast<std::size_t>((i / factor) * panel.width + j / factor);
      sums[to] += std::isnan(value) ? 0.0 : value;
      counts[to] += std::isnan(value) ? 0.0 : 1.0;
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    panel.values.push_back(counts[i] > 0 ? sums[i] / counts[i] : kHidden);
  }
  panel.x_end = map.num_keys;
  panel.y_end = map.num_queries;
  if (map.num_memory > 0) {
    panel.divider = static_cast<double>(map.num_memory) / static_cast<double>(factor);
  }
  return panel;
}

} // namespace

std::vector<AttentionMap> attention_maps(
    const ModelConfig& config,
    const ModelWeights& weights,
    const std::vector<std::int32_t>& ids,
    const AttentionMapOptions& options) {
  const at::NoGradGuard no_gradients;
  check_options(config, static_cast<std::int64_t>(ids.size()), options);
  const std::int64_t L = config.fcc->segment_length;
  const auto contains = [](const std::vector<std::int64_t>& list, std::int64_t value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  };
  std::vector<AttentionMap> maps;
  TokenStream stream(config, weights, 1);
  std::int64_t segment = 0;
  stream.observe([&](const LayerView& view) {
    if (contains(options.segments, segment) && contains(options.layers, view.layer + 1)) {
      maps.push_back(map_of(matrix_of(view, options), view.layer + 1, segment));
    }
  });
  const std::int64_t last = *std::max_element(options.segments.begin(), options.segments.end());
  const std::vector<std::int64_t> wide(ids.begin(), ids.begin() + last * L);
  const at::Tensor tokens = at::tensor(wide, at::kLong).view({1, last * L});
  while (segment < last) {
    ++segment;
    stream.prefill(tokens.narrow(1, (segment - 1) * L, L));
  }
  return maps;
}

RasterGrid attention_grid(
    const std::vector<AttentionMap>& maps,
    const AttentionMapOptions& options,
    const std::string& model,
    std::int64_t max_width) {
  RasterGrid grid;
  grid.title = options.after_softmax ? "Attention weights" : "Attention scores before the softmax";
  grid.title += options.head ? ", head " + std::to_string(*options.head) : ", mean of all heads";
  if (!model.empty()) {
    grid.title += " (" + model + ")";
  }
  grid.x_label = "key: memory | current segment";
  grid.y_label = "query";
  grid.columns = static_cast<std::int64_t>(options.layers.size());
  for (const AttentionMap& map : maps) {
    const std::int64_t factor = (map.num_keys + max_width - 1) / max_width;
    RasterPanel panel = panel_of(map, factor);
    panel.title = "layer " + std::to_string(map.layer) + ", ";
    panel.title += map.num_memory > 0 ? "segments " + std::to_string(map.segment - 1) + "–" +
                                            std::to_string(map.segment)
                                      : "segment " + std::to_string(map.segment);
    // Each panel has its own scale.
    panel.title += std::string(": ") + format_number(map.least, 1) + " to ";
    panel.title += format_number(map.largest, 1);
    grid.panels.push_back(std::move(panel));
  }
  return grid;
}

} // namespace fcc
