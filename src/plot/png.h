#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fcc {

struct Rgb {
  std::uint8_t red = 0, green = 0, blue = 0;
};

/// A colour between dark purple (0) and yellow (1), evenly bright steps between them; values
/// outside are clamped and NaN is grey. The scale of arXiv 2405.04620, figure 10.
Rgb colour_of(double value);

/// `#rrggbb`.
std::string hex_colour(Rgb colour);

/// The bytes of an 8-bit RGB PNG. `pixels` [height, width], row-major from the top left.
/// Errors: `Error` if the sizes disagree or a side is 0.
std::string encode_png(std::span<const Rgb> pixels, std::int64_t width, std::int64_t height);

/// RFC 4648, with padding.
std::string base64(std::string_view bytes);

} // namespace fcc
