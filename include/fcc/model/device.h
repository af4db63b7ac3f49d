#pragma once

#include <string>

#include <c10/core/Device.h>

namespace fcc {

/// `auto` (`cuda` where there is a GPU), `cpu`, `cuda` (the process's current GPU: the first one,
/// unless it has chosen another), `cuda:N`. `where`: the key or option that the name comes from.
/// Errors: `ConfigError`.
c10::Device device_from_name(const std::string& name, const std::string& where);

} // namespace fcc
