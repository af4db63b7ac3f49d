#pragma once

#include <cstdint>
#include <vector>

#include "fcc/config/model_config.h"

namespace fcc {

/// One of the parts that a model's layers are split into, each held by a process of its own: layers
/// [first_layer, end_layer), neighbours of those of the stages `index` - 1 and `index` + 1. The
/// first stage embeds, the last one has the final norm and the head.
struct LayerStage {
  std::int64_t index = 0, count = 1;
  std::int64_t first_layer = 0, end_layer = 0;

  std::int64_t num_layers() const {
    return end_layer - first_layer;
  }
  bool is_first() const {
    return index == 0;
  }
  bool is_last() const {
    return index == count - 1;
  }
};

/// Splits a model so that the stage with the most work has as little as can be: layers cost alike,
/// the head as many of them as its products are worth. Errors: `ConfigError` (engine.layer_ranks)
/// with fewer layers than stages, and for local_global.
std::vector<LayerStage> split_layers(const ModelConfig& model, std::int64_t count);

/// The model of a stage for what asks how many layers it has.
ModelConfig stage_model(const ModelConfig& model, const LayerStage& stage);

} // namespace fcc
