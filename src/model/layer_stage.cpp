#include "fcc/model/layer_stage.h"

#include <algorithm>
#include <string>

#include "fcc/core/error.h"

namespace fcc {
namespace {

/// What the head costs, in layers: both are bound by their products.
double head_in_layers(const ModelConfig& model) {
  const auto width = static_cast<double>(model.hidden_size);
  const auto heads = static_cast<double>(model.num_attention_heads * model.head_dim);
  const auto groups = static_cast<double>(model.num_key_value_heads * model.head_dim);
  const double memory_products = model.fcc ? 2 * groups : 0; // keys and values of the memory
  const double layer = width * (2 * heads + 2 * groups + memory_products +
                                3 * static_cast<double>(model.intermediate_size));
  return static_cast<double>(model.vocab_size) * width / layer;
}

} // namespace

std::vector<LayerStage> split_layers(const ModelConfig& model, std::int64_t count) {
  const std::int64_t layers = model.num_hidden_layers;
  if (model.arch() == Architecture::kLocalGlobal && count > 1) {
    throw ConfigError(
        "engine.layer_ranks",
        "must be 1 for local_global, whose recurrence runs through the top of the stack",
        std::to_string(count));
  }
  if (count < 1 || count > layers) {
    throw ConfigError(
        "engine.layer_ranks",
        "must be at most the number of layers, " + std::to_string(layers),
        std::to_string(count));
  }
  std::int64_t on_last = layers;
  if (count > 1) {
    const double head = head_in_layers(model);
    const auto most_work = [&](std::int64_t last) {
      const std::int64_t others = (layers - last + count - 2) / (count - 1);
      return std::max(static_cast<double>(others), static_cast<double>(last) + head);
    };
    on_last = 1;
    for (std::int64_t last = 2; last <= layers - (count - 1); ++last) {
      if (most_work(last) < most_work(on_last)) {
        on_last = last;
      }
    }
  }
  std::vector<LayerStage> stages;
  std::int64_t first = 0;
  for (std::int64_t index = 0; index < count; ++index) {
    std::int64_t own = on_last;
    if (index + 1 < count) {
      const std::int64_t others = layers - on_last;
      own = others / (count - 1) + (index < others % (count - 1) ? 1 : 0);
    }
    stages.push_back(
        {.index = index, .count = count, .first_layer = first, .end_layer = first + own});
    first += own;
  }
  return stages;
}

ModelConfig stage_model(const ModelConfig& model, const LayerStage& stage) {
  ModelConfig part = model;
  part.num_hidden_layers = stage.num_layers();
  return part;
}

} // namespace fcc
