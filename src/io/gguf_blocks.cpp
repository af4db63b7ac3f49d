// How GGUF's quantized numbers are packed (ggml's ggml-quants.c, and quants.py of the package
// `gguf`, whose order of operations is kept). Compiled without contraction: a fused
// multiply-add would round once where the reference rounds twice.

#include <bit>
#include <cstring>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/io/gguf.h"

namespace fcc {
namespace {

constexpr std::size_t kBlock = 32;       ///< elements of a small block
constexpr std::size_t kSuperBlock = 256; ///< elements of a block of the K types

const std::uint8_t* as_bytes(const std::byte* bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes);
}

std::uint16_t load_u16(const std::uint8_t* at) {
  return static_cast<std::uint16_t>(at[0] | at[1] << 8);
}

float from_half(const std::uint8_t* at) {
  const std::uint32_t half = load_u16(at);
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t exponent = half >> 10 & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 0) { // zero, or fraction · 2⁻²⁴: exact in float32
    const float value = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 0x1F ? 0xFFU : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

/// Byte i holds element i in its low half and element i + 16 in its high one.
std::uint8_t nibble(const std::uint8_t* packed, std::size_t i) {
  constexpr std::size_t kHalf = kBlock / 2;
  return i < kHalf ? packed[i] & 0xF : packed[i - kHalf] >> 4;
}

/// The fifth bits of 32 elements lie in four bytes.
std::uint8_t fifth_bit(const std::uint8_t* high, std::size_t i) {
  return static_cast<std::uint8_t>((high[i / 8] >> i % 8 & 1) << 4);
}

void block_q4_0(const std::uint8_t* block, float* out) {
  const float d = from_half(block);
  for (std::size_t i = 0; i < kBlock; ++i) {
    out[i] = d * static_cast<float>(nibble(block + 2, i) - 8);
  }
}

void block_q4_1(const std::uint8_t* block, float* out) {
  const float d = from_half(block), m = from_half(block + 2);
  for (std::size_t i = 0; i < kBlock; ++i) {
    const float product = d * static_cast<float>(nibble(block + 4, i));
    out[i] = product + m;
  }
}

void block_q5_0(const std::uint8_t* block, float* out) {
  const float d = from_half(block);
  for (std::size_t i = 0; i < kBlock; ++i) {
    out[i] = d * static_cast<float>((nibble(block + 6, i) | fifth_bit(block + 2, i)) - 16);
  }
}

void block_q5_1(const std::uint8_t* block, float* out) {
  const float d = from_half(block), m = from_half(block + 2);
  for (std::size_t i = 0; i < kBlock; ++i) {
    const float product = d * static_cast<float>(nibble(block + 8, i) | fifth_bit(block + 4, i));
    out[i] = product + m;
  }
}

void block_q8_0(const std::uint8_t* block, float* out) {
  const float d = from_half(block);
  for (std::size_t i = 0; i < kBlock; ++i) {
    out[i] = static_cast<float>(static_cast<std::int8_t>(block[2 + i])) * d;
  }
}

/// The 6-bit scale and minimum of part `i` (of eight) of a block of Q4_K or Q5_K, from 12 bytes.
std::pair<float, float> scale_and_minimum(const std::uint8_t* packed, std::size_t i) {
  int scale = 0, minimum = 0;
  if (i < 4) {
    scale = packed[i] & 0x3F;
    minimum = packed[i + 4] & 0x3F;
  } else {
    scale = (packed[i + 4] & 0x0F) | (packed[i - 4] >> 2 & 0x30);
    minimum = packed[i + 4] >> 4 | (packed[i] >> 2 & 0x30);
  }
  return {static_cast<float>(scale), static_cast<float>(minimum)};
}

/// Q4_K and Q5_K: eight parts of 32; `high`, the fifth bits, is null for Q4_K.
void block_k(
    const std::uint8_t* block,
    const std::uint8_t* high,
    const std::uint8_t* packed,
    float* out) {
  const float d = from_half(block), d_minimum = from_half(block + 2);
  for (std::size_t part = 0; part < 8; ++part) {
    const auto [scale, minimum] = scale_and_minimum(block + 4, part);
    const float part_d = d * scale, part_minimum = d_minimum * minimum;
    for (std::size_t i = 0; i < 32; ++i) {
      const std::uint8_t byte = packed[part / 2 * 32 + i];
      int q = part % 2 == 0 ? byte & 0xF : byte >> 4;
      if (high != nullptr) {
        q |= (high[i] >> part & 1) << 4;
      }
      const float product = part_d * static_cast<float>(q);
      out[part * 32 + i] = product - part_minimum;
    }
  }
}

void block_q4_k(const std::uint8_t* block, float* out) {
  block_k(block, nullptr, block + 16, out);
}

void block_q5_k(const std::uint8_t* block, float* out) {
  block_k(block, block + 16, block + 48, out);
}

/// Halves of 128: 64 bytes of low nibbles, 32 of high pairs of bits; a scale for each 16.
void block_q6_k(const std::uint8_t* block, float* out) {
  const std::uint8_t *low = block, *high = block + 128, *scales = block + 192;
  const float d = from_half(block + 208);
  for (std::size_t i = 0; i < kSuperBlock; ++i) {
    const std::size_t half = i / 128, part = i % 128 / 32, j = i % 32;
    const std::uint8_t byte = low[half * 64 + part % 2 * 32 + j];
    const int four = part < 2 ? byte & 0xF : byte >> 4;
    const int two = high[half * 32 + j] >> 2 * part & 3;
    const float scale = d * static_cast<float>(static_cast<std::int8_t>(scales[i / 16]));
    out[i] = scale * static_cast<float>((four | two << 4) - 32);
  }
}

void block_f32(const std::uint8_t* block, float* out) {
  std::memcpy(out, block, sizeof(float));
}

void block_f16(const std::uint8_t* block, float* out) {
  *out = from_half(block);
}

void block_bf16(const std::uint8_t* block, float* out) {
  *out = std::bit_cast<float>(static_cast<std::uint32_t>(load_u16(block)) << 16);
}

struct Format {
  GgufBlock block;
  void (*unpack)(const std::uint8_t* block, float* out) = nullptr;
};

Format format_of(GgufType type) {
  switch (type) {
    case GgufType::kF32:
      return {{"F32", 1, 4}, block_f32};
    case GgufType::kF16:
      return {{"F16", 1, 2}, block_f16};
    case GgufType::kBF16:
      return {{"BF16", 1, 2}, block_bf16};
    case GgufType::kQ4_0:
      return {{"Q4_0", 32, 18}, block_q4_0};
    case GgufType::kQ4_1:
      return {{"Q4_1", 32, 20}, block_q4_1};
    case GgufType::kQ5_0:
      return {{"Q5_0", 32, 22}, block_q5_0};
    case GgufType::kQ5_1:
      return {{"Q5_1", 32, 24}, block_q5_1};
    case GgufType::kQ8_0:
      return {{"Q8_0", 32, 34}, block_q8_0};
    case GgufType::kQ4_K:
      return {{"Q4_K", 256, 144}, block_q4_k};
    case GgufType::kQ5_K:
      return {{"Q5_K", 256, 176}, block_q5_k};
    case GgufType::kQ6_K:
      return {{"Q6_K", 256, 210}, block_q6_k};
  }
  throw Error("GGUF", "a type must be known", std::to_string(static_cast<std::uint32_t>(type)));
}

} // namespace

GgufBlock gguf_block(GgufType type) {
  return format_of(type).block;
}

void dequantize_gguf(GgufType type, std::span<const std::byte> bytes, std::span<float> out) {
  const Format format = format_of(type);
  const auto num_bytes = static_cast<std::size_t>(format.block.num_bytes);
  const auto num_elements = static_cast<std::size_t>(format.block.num_elements);
  const std::size_t num_blocks = bytes.size() / num_bytes;
  if (bytes.size() % num_bytes != 0 || out.size() != num_blocks * num_elements) {
    throw Error(
        "GGUF",
        "bytes and numbers must be of equally many blocks",
        std::to_string(bytes.size()) + " bytes, " + std::to_string(out.size()) + " numbers");
  }
  for (std::size_t i = 0; i < num_blocks; ++i) {
    format.unpack(as_bytes(bytes.data()) + i * num_bytes, out.data() + i * num_elements);
  }
}

} // namespace fcc
