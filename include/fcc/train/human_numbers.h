#pragma once

#include <cstdint>
#include <string>

namespace fcc {

/// `1,234,567`.
std::string grouped_text(std::int64_t value);

/// Three digits and the unit that fits: `12 bytes`, `3.40 MiB`, `12.3 GiB`.
std::string bytes_text(std::int64_t bytes);

/// `90 s`, `45 min`, `7.5 h`, `12 days`, `3.4 years`: whichever tells most.
std::string duration_text(double seconds);

/// How often something is read: `0.3 % of it`, `50 % of it`, `1.5 times`, `4,130 times`.
std::string times_text(double times);

} // namespace fcc
