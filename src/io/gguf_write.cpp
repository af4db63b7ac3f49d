#include <cstdint>
#include <limits>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/io/gguf.h"

namespace fcc {
namespace {

constexpr std::uint64_t kAlignment = 32;

/// The numbers of the types in the file.
enum Type : std::uint32_t {
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kF64 = 12
};

class Header {
 public:
  template <typename T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void text(const std::string& value) {
    number(static_cast<std::uint64_t>(value.size()));
    bytes_ += value;
  }

  void value(const std::string& key, const GgufValue& value) {
    text(key);
    if (const auto* flag = std::get_if<bool>(&value)) {
      number(kBool);
      number(static_cast<std::uint8_t>(*flag));
    } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
      number(kU32);
      number(fitting<std::uint32_t>(key, *whole));
    } else if (const auto* single = std::get_if<float>(&value)) {
      number(kF32);
      number(*single);
    } else if (const auto* wide = std::get_if<double>(&value)) {
      number(kF64);
      number(*wide);
    } else if (const auto* string = std::get_if<std::string>(&value)) {
      number(kString);
      text(*string);
    } else if (const auto* flags = std::get_if<std::vector<bool>>(&value)) {
      list(kBool, flags->size());
      for (const bool one : *flags) {
        number(static_cast<std::uint8_t>(one));
      }
    } else if (const auto* wholes = std::get_if<std::vector<std::int64_t>>(&value)) {
      list(kI32, wholes->size());
      for (const std::int64_t one : *wholes) {
        number(fitting<std::int32_t>(key, one));
      }
    } else if (const auto* reals = std::get_if<std::vector<double>>(&value)) {
      list(kF32, reals->size());
      for (const double one : *reals) {
        number(static_cast<float>(one));
      }
    } else {
      const auto& strings = std::get<std::vector<std::string>>(value);
      list(kString, strings.size());
      for (const std::string& one : strings) {
        text(one);
      }
    }
  }

  void pad() {
    bytes_.append((kAlignment - bytes_.size() % kAlignment) % kAlignment, '\0');
  }
  const std::string& bytes() const {
    return bytes_;
  }

 private:
  void list(Type type, std::size_t count) {
    number(kArray);
    number(type);
    number(static_cast<std::uint64_t>(count));
  }

  template <typename T>
  static T fitting(const std::string& key, std::int64_t value) {
    if (!std::in_range<T>(value)) {
      throw Error("GGUF, " + key, "must fit 32 bits", std::to_string(value));
    }
    return static_cast<T>(value);
  }

  std::string bytes_;
};

std::uint64_t bytes_of(const GgufHeader& tensor) {
  auto bytes = static_cast<std::uint64_t>(gguf_block(tensor.type).num_bytes);
  for (const std::int64_t size : tensor.shape) {
    bytes *= static_cast<std::uint64_t>(size);
  }
  return bytes;
}

std::uint64_t padding(std::uint64_t bytes) {
  return (kAlignment - bytes % kAlignment) % kAlignment;
}

} // namespace

void write_gguf(
    const std::filesystem::path& path,
    const std::vector<std::pair<std::string, GgufValue>>& metadata,
    const std::vector<GgufHeader>& tensors,
    const std::function<
        void(std::size_t, const std::function<void(std::span<const std::byte>)>& append)>& fill) {
  Header header;
  header.number(std::uint32_t{0x46554747}); // "GGUF"
  header.number(std::uint32_t{3});
  header.number(static_cast<std::uint64_t>(tensors.size()));
  header.number(static_cast<std::uint64_t>(metadata.size()));
  for (const auto& [key, value] : metadata) {
    header.value(key, value);
  }
  std::uint64_t offset = 0;
  for (const GgufHeader& tensor : tensors) {
    header.text(tensor.name);
    header.number(static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
      header.number(static_cast<std::uint64_t>(*size));
    }
    header.number(static_cast<std::uint32_t>(tensor.type));
    header.number(offset);
    offset += bytes_of(tensor) + padding(bytes_of(tensor));
  }
  header.pad();

  AtomicFile file(path);
  file.write(header.bytes());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::uint64_t written = 0;
    fill(i, [&](std::span<const std::byte> bytes) {
      file.write(bytes);
      written += bytes.size();
    });
    if (written != bytes_of(tensors[i])) {
      throw Error(
          "GGUF, " + tensors[i].name, "must have the bytes of its shape", std::to_string(written));
    }
    file.write(std::string(padding(written), '\0'));
  }
  file.commit();
}

} // namespace fcc
