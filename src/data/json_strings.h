#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// The string values of `keys` in the object that `json` is, in the order of `keys`; anything else
/// in it is passed over without being kept. `where` (file:line) names it in errors.
/// Errors: `FormatError` on broken JSON or UTF-8, a value that is no object, one of `keys` twice or
/// with a value that is no string.
std::vector<std::optional<std::string>> json_strings(
    std::string_view json,
    std::span<const std::string_view> keys,
    const std::string& where);

} // namespace fcc
