#pragma once

#include <optional>
#include <string>

namespace fcc::tools {

/// A `Variable` (fcc/dist/rank_settings.h) of the process's environment.
std::optional<std::string> environment_variable(const char* name);

} // namespace fcc::tools
