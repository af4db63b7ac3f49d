#include "plot/png.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "fcc/core/error.h"

namespace fcc {
namespace {

// Nodes of a perceptually even purple-to-yellow scale, interpolated linearly.
constexpr std::array<Rgb, 9> kScale{{
    {68, 1, 84},
    {71, 44, 122},
    {59, 81, 139},
    {44, 113, 142},
    {33, 144, 141},
    {39, 173, 129},
    {92, 200, 99},
    {170, 220, 50},
    {253, 231, 37},
}};
constexpr Rgb kNoValue{160, 160, 160};

void append_u32(std::string& out, std::uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) {
    out.push_back(static_cast<char>((value >> shift) & 0xFF));
  }
}

// A PNG chunk: length, type, data, CRC of type and data.
void append_chunk(std::string& out, std::string_view type, std::string_view data) {
  append_u32(out, static_cast<std::uint32_t>(data.size()));
  std::string body(type);
  body += data;
  out += body;
  const auto* bytes = reinterpret_cast<const Bytef*>(body.data());
  append_u32(out, static_cast<std::uint32_t>(crc32(0, bytes, static_cast<uInt>(body.size()))));
}

std::string deflate(const std::string& raw) {
  uLongf size = compressBound(static_cast<uLong>(raw.size()));
  std::string packed(size, '\0');
  const int status = compress2(
      reinterpret_cast<Bytef*>(packed.data()),
      &size,
      reinterpret_cast<const Bytef*>(raw.data()),
      static_cast<uLong>(raw.size()),
      Z_BEST_COMPRESSION);
  check(status == Z_OK, "encode_png", "compression must succeed", std::to_string(status));
  packed.resize(size);
  return packed;
}

} // namespace

Rgb colour_of(double value) {
  if (std::isnan(value)) {
    return kNoValue;
  }
  const double place = std::clamp(value, 0.0, 1.0) * (kScale.size() - 1);
  const auto low = std::min(static_cast<std::size_t>(place), kScale.size() - 2);
  const double share = place - static_cast<double>(low);
  const auto mix = [share](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround(a + share * (b - a)));
  };
  const Rgb a = kScale[low], b = kScale[low + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

std::string hex_colour(Rgb colour) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "#";
  for (const std::uint8_t part : {colour.red, colour.green, colour.blue}) {
    text += kDigits[part >> 4];
    text += kDigits[part & 15];
  }
  return text;
}

std::string encode_png(std::span<const Rgb> pixels, std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1 || static_cast<std::int64_t>(pixels.size()) != width * height) {
    throw Error(
        "encode_png",
        "width × height must equal the number of pixels and be at least 1",
        std::to_string(width) + " × " + std::to_string(height) + " for " +
            std::to_string(pixels.size()));
  }
  std::string raw; // each row begins with its filter, 0: none
  raw.reserve(static_cast<std::size_t>(height * (3 * width + 1)));
  for (std::int64_t y = 0; y < height; ++y) {
    raw.push_back('\0');
    for (std::int64_t x = 0; x < width; ++x) {
      const Rgb pixel = pixels[static_cast<std::size_t>(y * width + x)];
      for (const std::uint8_t part : {pixel.red, pixel.green, pixel.blue}) {
        raw.push_back(static_cast<char>(part));
      }
    }
  }
  std::string header;
  append_u32(header, static_cast<std::uint32_t>(width));
  append_u32(header, static_cast<std::uint32_t>(height));
  header += std::string{8, 2, 0, 0, 0}; // 8 bits, RGB, deflate, no filter method, not interlaced
  std::string out = "\x89PNG\r\n\x1A\n";
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", deflate(raw));
  append_chunk(out, "IEND", {});
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<std::uint8_t>(bytes[i + j]) : 0);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= count ? kAlphabet[(group >> (18 - 6 * j)) & 63] : '=';
    }
  }
  return text;
}

} // namespace fcc
