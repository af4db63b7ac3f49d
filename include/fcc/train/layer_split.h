#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/dist/communicator.h"
#include "fcc/engine/stage_link.h"
#include "fcc/model/parameters.h"
#include "fcc/train/checkpoint.h"

namespace fcc {

/// Where a rank stands: rank = copy · layer_ranks + stage. The ranks of one copy hold a stage of
/// the layers each and train on the same rows; those of one stage share gradients and states.
struct RankGrid {
  std::int64_t num_copies = 1, layer_ranks = 1;

  /// Errors: `ConfigError` (engine.layer_ranks) where the ranks do not divide.
  static RankGrid of(std::int64_t num_ranks, const EngineSection& engine);
};

/// The stage of `model` that `rank` holds; none where layers are not split.
std::optional<LayerStage>
stage_of_rank(const ModelConfig& model, const RankGrid& grid, std::int64_t rank);

/// A link between the stages of a copy over its ranks, which are those of `copy` in order and
/// outlive it.
std::unique_ptr<StageLink> link_stages(Communicator& copy);

/// Joins what the stages of a copy hold to one checkpoint of the whole model, on the CPU of its
/// first rank; the others hand theirs over and get it back as it was. `layout`: of the whole model,
/// whose optimizer would have `states`.
CheckpointData join_stages(
    Communicator& copy,
    const FlatParameters& stage,
    const FlatParameters& layout,
    const std::vector<StateLayout>& states,
    CheckpointData data);

/// Σ g² of every weight by itself, added in the weights' order in the whole model: a sum that does
/// not depend on how layers are split. `layout`: of the whole model.
double squared_norm_by_weight(
    Communicator& copy,
    const FlatParameters& parameters,
    const FlatParameters& layout);

} // namespace fcc
