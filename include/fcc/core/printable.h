#pragma once

#include <string>
#include <string_view>

namespace fcc {

/// Text for a terminal: control characters (C0 but those in `kept`, DEL, and C1 as UTF-8) come out
/// as escapes, `\x1b` or `\n`, so that what a file holds cannot steer the terminal it is shown on.
std::string printable(std::string_view text, std::string_view kept = {});

/// The same of at most about `max_bytes`; what is cut off is told by the whole length.
std::string printable_start(std::string_view text, std::size_t max_bytes);

} // namespace fcc
