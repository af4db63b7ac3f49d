#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"

namespace fcc::tools {

/// A path of a configuration that is not there.
struct MissingPath {
  std::string key; ///< `data.train.0.path`
  std::string path;
  std::string maker; ///< what makes it, for people
};

/// Every path that the run would read and that is not there; a `checkpoint` stands in for
/// `model.path`. `recipes` is the folder of the configuration: another one there whose `output` the
/// path lies in is what makes a model.
std::vector<MissingPath>
missing_paths(const RunConfig& config, const std::filesystem::path& recipes, bool has_checkpoint);

/// The shape of a model that is not there: `shape`, a preset's name, if given; else that of the
/// recipe which makes it, or of the preset that its folder is named after.
/// Errors: `ConfigError` where none is known.
ModelConfig shape_of_missing_model(
    const ModelSection& section,
    const std::filesystem::path& recipes,
    const std::string& shape);

} // namespace fcc::tools
