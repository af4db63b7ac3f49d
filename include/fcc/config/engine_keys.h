#pragma once

#include <string>
#include <vector>

#include "fcc/config/run_config.h"

namespace fcc {

/// The keys of `engine` that only the fused execution reads and that are not at their defaults.
std::vector<std::string> fused_keys_in_use(const EngineSection& engine);

} // namespace fcc
