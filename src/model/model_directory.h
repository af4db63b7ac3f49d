#pragma once

#include <filesystem>

namespace fcc {

/// Refuses what is no model's directory: nothing, a file, a folder without `config.json`, or the
/// folder of a run (its `config.json` is the run's), for which the hint names the model inside:
/// `final`, else the newest checkpoint. Errors: `ConfigError`.
void require_model_directory(const std::filesystem::path& directory);

} // namespace fcc
