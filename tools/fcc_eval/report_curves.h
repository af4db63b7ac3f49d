#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace fcc::tools {

/// The curves of `runs` (name, steps, validations, as the page has them) over steps, as one SVG.
/// Errors: `Error` where no run has a step.
std::string report_curves(const nlohmann::ordered_json& runs);

} // namespace fcc::tools
