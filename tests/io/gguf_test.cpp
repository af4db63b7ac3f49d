#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/io/gguf.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

const std::string kBlocks = source_dir() + "/tests/io/blocks.gguf";

class Gguf : public ::testing::Test {
 protected:
  /// Opens a file of these bytes and reads every number; whether it was taken.
  bool opens(const std::string& bytes) {
    const auto path = folder_ / "file.gguf";
    std::ofstream(path, std::ios::binary) << bytes;
    try {
      const GgufFile file(path);
      for (const GgufTensor& tensor : file.tensors()) {
        std::size_t count = 1;
        for (const std::int64_t size : tensor.shape) {
          count *= static_cast<std::size_t>(size);
        }
        std::vector<float> values(count);
        dequantize_gguf(tensor.type, tensor.bytes, values);
      }
      return true;
    } catch (const FormatError& error) {
      message_ = error.what();
      return false;
    }
  }

  TemporaryDirectory folder_;
  std::string message_;
};

template <typename T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_text(std::string& bytes, const std::string& text) {
  put<std::uint64_t>(bytes, text.size());
  bytes += text;
}

/// A header of version 3 that announces tensors and no metadata.
std::string header(std::uint64_t num_tensors) {
  std::string bytes = "GGUF";
  put<std::uint32_t>(bytes, 3);
  put<std::uint64_t>(bytes, num_tensors);
  put<std::uint64_t>(bytes, 0);
  return bytes;
}

void put_tensor(
    std::string& bytes,
    const std::string& name,
    const std::vector<std::uint64_t>& sizes,
    std::uint32_t type,
    std::uint64_t offset) {
  put_text(bytes, name);
  put<std::uint32_t>(bytes, static_cast<std::uint32_t>(sizes.size()));
  for (const std::uint64_t size : sizes) {
    put(bytes, size);
  }
  put(bytes, type);
  put(bytes, offset);
}

/// Pads to the place of the data and adds `count` bytes of it.
std::string with_data(std::string bytes, std::size_t count) {
  bytes.resize((bytes.size() + 31) / 32 * 32 + count);
  return bytes;
}

// blocks.gguf and its expected numbers: tests/io/make_gguf.py.
TEST_F(Gguf, EveryTypeIsUnpackedBitForBitAsByTheReferenceImplementation) {
  const GgufFile file(kBlocks);
  std::size_t num_types = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name.ends_with(".expected")) {
      continue;
    }
    const GgufTensor* expected = file.find_tensor(tensor.name + ".expected");
    ASSERT_NE(expected, nullptr);
    EXPECT_EQ(gguf_block(tensor.type).name, tensor.name);
    EXPECT_EQ(tensor.shape, expected->shape);
    std::vector<float> values(expected->bytes.size() / sizeof(float));
    dequantize_gguf(tensor.type, tensor.bytes, values);
    EXPECT_EQ(std::memcmp(values.data(), expected->bytes.data(), expected->bytes.size()), 0)
        << tensor.name;
    ++num_types;
  }
  EXPECT_EQ(num_types, 11U);
}

TEST_F(Gguf, ACutFileIsRefusedWhereverItIsCut) {
  const std::string whole = read_file(kBlocks);
  ASSERT_TRUE(opens(whole));
  for (std::size_t length = 0; length < whole.size(); length += length < 2000 ? 7 : 977) {
    EXPECT_FALSE(opens(whole.substr(0, length))) << length;
  }
}

TEST_F(Gguf, AFlippedBitIsReadOrRefusedButNeverBreaksTheReader) {
  std::string bytes = read_file(kBlocks);
  const std::size_t num_header_bytes = 1800;
  ASSERT_GT(bytes.size(), num_header_bytes);
  std::size_t num_refused = 0;
  for (std::size_t i = 0; i < num_header_bytes; i += 5) {
    const char flipped = static_cast<char>(1 << i % 8);
    bytes[i] ^= flipped;
    num_refused += opens(bytes) ? 0 : 1;
    bytes[i] ^= flipped;
  }
  EXPECT_GT(num_refused, 50U);
}

TEST_F(Gguf, CountsAndProductsAreComparedBeforeTheyAreBelieved) {
  EXPECT_FALSE(opens(header(std::uint64_t{1} << 62)));
  EXPECT_NE(message_.find("the number of tensors"), std::string::npos) << message_;
  std::string bytes = header(1);
  put_tensor(bytes, "a", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, 0, 0);
  EXPECT_FALSE(opens(with_data(bytes, 64)));
  EXPECT_NE(message_.find("product"), std::string::npos) << message_;
}

TEST_F(Gguf, TensorsMustLieAlignedApartAndInTheFile) {
  const auto two = [](std::uint64_t offset) {
    std::string bytes = header(2);
    put_tensor(bytes, "a", {16}, 0, 0);
    put_tensor(bytes, "b", {8}, 0, offset);
    return with_data(bytes, 96);
  };
  EXPECT_TRUE(opens(two(64))) << message_;
  EXPECT_FALSE(opens(two(32)));
  EXPECT_NE(message_.find("must not overlap"), std::string::npos) << message_;
  EXPECT_FALSE(opens(two(68)));
  EXPECT_NE(message_.find("must lie on a multiple of 32"), std::string::npos) << message_;
  EXPECT_FALSE(opens(two(96)));
  EXPECT_NE(message_.find("must end within the file"), std::string::npos) << message_;
}

TEST_F(Gguf, ATypeThatIsNotReadIsNamed) {
  std::string bytes = header(1);
  put_tensor(bytes, "a", {256}, 10, 0);
  EXPECT_FALSE(opens(with_data(bytes, 84)));
  EXPECT_NE(message_.find("Q2_K"), std::string::npos) << message_;
}

} // namespace
} // namespace fcc
