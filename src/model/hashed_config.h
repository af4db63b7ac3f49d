#pragma once

#include <string>

#include "fcc/config/model_config.h"

namespace fcc {

/// What `model_hash` takes of a configuration: its `config.json` as first versions wrote it, so
/// that saved states keep their model; in bfloat16, so that the hash stays when only the dtype
/// changes.
std::string hashed_config_text(const ModelConfig& config);

} // namespace fcc
