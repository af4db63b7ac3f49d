#pragma once

#include <string>

#include <c10/core/Device.h>

namespace fcc {

/// `auto` (the first GPU where there is one), `cpu`, `cuda`, `cuda:N`. `where`: the key or option
/// that the name comes from. Errors: `ConfigError`.
c10::Device device_from_name(const std::string& name, const std::string& where);

} // namespace fcc
