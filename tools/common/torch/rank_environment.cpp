#include "common/torch/rank_environment.h"

#include <cstdlib>

namespace fcc::tools {

std::optional<std::string> environment_variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

} // namespace fcc::tools
