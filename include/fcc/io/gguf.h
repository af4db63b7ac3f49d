#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fcc {

class MappedFile;

/// The element types of GGUF that can be read: plain ones, and blocks of quantized numbers.
/// The values are the file's (ggml's `ggml_type`).
enum class GgufType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

/// How a type lies in a file: `num_bytes` bytes hold `num_elements` numbers.
struct GgufBlock {
  std::string_view name; ///< `Q4_1`
  std::int64_t num_elements = 1, num_bytes = 0;
};
GgufBlock gguf_block(GgufType type);

/// Turns whole blocks into float32, bit for bit as the reference implementation does (the Python
/// package `gguf`): every product and sum is rounded to float32 by itself.
///
/// `bytes`: n blocks of `type`; `out`: the n · num_elements numbers. Errors: `Error` if they do
/// not belong together.
void dequantize_gguf(GgufType type, std::span<const std::byte> bytes, std::span<float> out);

/// One tensor of a file; its bytes are memory-mapped and live as long as the file object.
struct GgufTensor {
  std::string name;
  GgufType type = GgufType::kF32;
  std::vector<std::int64_t> shape; ///< as everywhere here, the last is contiguous (ggml's reversed)
  std::span<const std::byte> bytes;
};

/// A value of the metadata. Whole numbers that do not fit are refused when the file is opened;
/// float32 stays float32, so that 1e-5 can be written as such again.
using GgufValue = std::variant<
    bool,
    std::int64_t,
    float,
    double,
    std::string,
    std::vector<bool>,
    std::vector<std::int64_t>,
    std::vector<double>,
    std::vector<std::string>>;

/// A GGUF file of version 2 or 3 (little-endian; github.com/ggml-org/ggml, docs/gguf.md), read
/// strictly: every length and count is compared with the bytes that are left before it is
/// believed, products are checked, tensors lie aligned, in the file, and not over each other, and
/// no name comes twice. Errors: `IoError`, `FormatError` naming the file and the key or tensor.
class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const;
  const std::map<std::string, GgufValue>& metadata() const {
    return metadata_;
  }
  /// The value of a key, or null if there is none or it is of another type.
  template <typename T>
  const T* find(const std::string& key) const {
    const auto entry = metadata_.find(key);
    return entry == metadata_.end() ? nullptr : std::get_if<T>(&entry->second);
  }
  const std::vector<GgufTensor>& tensors() const {
    return tensors_;
  }
  /// Null if absent.
  const GgufTensor* find_tensor(const std::string& name) const;

 private:
  std::shared_ptr<MappedFile> file_;
  std::map<std::string, GgufValue> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, std::size_t> index_;
};

/// A tensor that is to be written.
struct GgufHeader {
  std::string name;
  GgufType type = GgufType::kF32; ///< F32, F16 or BF16
  std::vector<std::int64_t> shape;
};

/// Writes a GGUF file of version 3, whole or not at all. Whole numbers are written as uint32, lists
/// of them as int32, lists of doubles as float32, doubles as float64. `fill` is asked for the bytes
/// of one tensor after the other. Errors: `IoError`; `Error` where a number does not fit, or a
/// tensor has another size than its shape says.
void write_gguf(
    const std::filesystem::path& path,
    const std::vector<std::pair<std::string, GgufValue>>& metadata,
    const std::vector<GgufHeader>& tensors,
    const std::function<
        void(std::size_t, const std::function<void(std::span<const std::byte>)>& append)>& fill);

} // namespace fcc
