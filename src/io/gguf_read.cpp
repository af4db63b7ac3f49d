#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/io/gguf.h"

namespace fcc {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::uint32_t kMagic = 0x46554747; // "GGUF"
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::int64_t kDefaultAlignment = 32;

/// The types of metadata, by their numbers in the file.
enum class ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

/// Reads forward; a length is compared with what is left before anything is taken or reserved.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::string where)
      : bytes_(bytes), where_(std::move(where)) {}

  std::size_t position() const {
    return position_;
  }

  template <typename T>
  T number(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::string text(const std::string& what) {
    const auto length = number<std::uint64_t>(what);
    const auto bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// A count of things that have `least_bytes` each at least.
  std::size_t count(std::size_t least_bytes, const std::string& what) {
    const auto value = number<std::uint64_t>(what);
    if (value > (bytes_.size() - position_) / least_bytes) {
      refuse(what, "must fit in what is left of the file", std::to_string(value));
    }
    return static_cast<std::size_t>(value);
  }

  [[noreturn]] void refuse(const std::string& what, const std::string& rule, std::string value)
      const {
    throw FormatError(where_ + ": " + what, rule, std::move(value));
  }

 private:
  std::span<const std::byte> take(std::uint64_t length, const std::string& what) {
    if (length > bytes_.size() - position_) {
      refuse(
          what,
          "must end within the file",
          std::to_string(length) + " bytes with " + std::to_string(bytes_.size() - position_) +
              " left (is the file truncated?)");
    }
    const auto part = bytes_.subspan(position_, static_cast<std::size_t>(length));
    position_ += part.size();
    return part;
  }

  std::span<const std::byte> bytes_;
  std::string where_;
  std::size_t position_ = 0;
};

std::int64_t read_whole(Reader& reader, ValueType type, const std::string& what) {
  switch (type) {
    case ValueType::kU8:
      return reader.number<std::uint8_t>(what);
    case ValueType::kI8:
      return reader.number<std::int8_t>(what);
    case ValueType::kU16:
      return reader.number<std::uint16_t>(what);
    case ValueType::kI16:
      return reader.number<std::int16_t>(what);
    case ValueType::kU32:
      return reader.number<std::uint32_t>(what);
    case ValueType::kI32:
      return reader.number<std::int32_t>(what);
    case ValueType::kU64: {
      const auto value = reader.number<std::uint64_t>(what);
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        reader.refuse(what, "must fit 63 bits", std::to_string(value));
      }
      return static_cast<std::int64_t>(value);
    }
    default:
      return reader.number<std::int64_t>(what);
  }
}

bool read_bool(Reader& reader, const std::string& what) {
  const auto value = reader.number<std::uint8_t>(what);
  if (value > 1) {
    reader.refuse(what, "a truth value must be 0 or 1", std::to_string(value));
  }
  return value == 1;
}

std::size_t least_bytes(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    default: // a string has 8 bytes of length
      return 8;
  }
}

ValueType read_type(Reader& reader, const std::string& what) {
  const auto type = reader.number<std::uint32_t>(what);
  if (type > static_cast<std::uint32_t>(ValueType::kF64)) {
    reader.refuse(what, "must have a type from 0 to 12", std::to_string(type));
  }
  return static_cast<ValueType>(type);
}

template <typename T, typename ReadOne>
std::vector<T> read_many(std::size_t count, ReadOne read_one) {
  std::vector<T> values;
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(read_one());
  }
  return values;
}

GgufValue read_array(Reader& reader, const std::string& what) {
  const ValueType type = read_type(reader, what);
  if (type == ValueType::kArray) {
    reader.refuse(what, "arrays of arrays are not read", "one");
  }
  const std::size_t count = reader.count(least_bytes(type), what);
  switch (type) {
    case ValueType::kF32:
      return read_many<double>(count, [&] { return double{reader.number<float>(what)}; });
    case ValueType::kF64:
      return read_many<double>(count, [&] { return reader.number<double>(what); });
    case ValueType::kBool:
      return read_many<bool>(count, [&] { return read_bool(reader, what); });
    case ValueType::kString:
      return read_many<std::string>(count, [&] { return reader.text(what); });
    default:
      return read_many<std::int64_t>(count, [&] { return read_whole(reader, type, what); });
  }
}

GgufValue read_value(Reader& reader, const std::string& what) {
  const ValueType type = read_type(reader, what);
  switch (type) {
    case ValueType::kF32:
      return reader.number<float>(what);
    case ValueType::kF64:
      return reader.number<double>(what);
    case ValueType::kBool:
      return read_bool(reader, what);
    case ValueType::kString:
      return reader.text(what);
    case ValueType::kArray:
      return read_array(reader, what);
    default:
      return read_whole(reader, type, what);
  }
}

std::optional<GgufType> known_type(std::uint32_t number) {
  switch (static_cast<GgufType>(number)) {
    case GgufType::kF32:
    case GgufType::kF16:
    case GgufType::kQ4_0:
    case GgufType::kQ4_1:
    case GgufType::kQ5_0:
    case GgufType::kQ5_1:
    case GgufType::kQ8_0:
    case GgufType::kQ4_K:
    case GgufType::kQ5_K:
    case GgufType::kQ6_K:
    case GgufType::kBF16:
      return static_cast<GgufType>(number);
  }
  return std::nullopt;
}

/// What a file calls a type that is not read, as far as ggml names it.
std::string type_text(std::uint32_t number) {
  constexpr std::pair<std::uint32_t, const char*> kOthers[] = {
      {9, "Q8_1"},    {10, "Q2_K"},    {11, "Q3_K"},  {15, "Q8_K"},   {16, "IQ2_XXS"},
      {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},
      {22, "IQ2_S"},  {23, "IQ4_XS"},  {24, "I8"},    {25, "I16"},    {26, "I32"},
      {27, "I64"},    {28, "F64"},     {29, "IQ1_M"}, {34, "TQ1_0"},  {35, "TQ2_0"},
      {39, "MXFP4"},
  };
  for (const auto& [other, name] : kOthers) {
    if (other == number) {
      return name;
    }
  }
  return "type " + std::to_string(number);
}

/// A tensor of the header, before its place is checked.
struct Entry {
  GgufTensor tensor;
  std::uint64_t begin = 0, num_bytes = 0; ///< `begin` counts from the data's start
};

Entry read_entry(Reader& reader, std::size_t number) {
  Entry entry;
  entry.tensor.name = reader.text("the name of tensor " + std::to_string(number));
  const std::string what = "tensor `" + entry.tensor.name + "`";
  const auto num_dimensions = reader.number<std::uint32_t>(what);
  if (num_dimensions < 1 || num_dimensions > kMaxDimensions) {
    reader.refuse(what, "must have 1 to 4 dimensions", std::to_string(num_dimensions));
  }
  std::int64_t num_elements = 1;
  for (std::uint32_t i = 0; i < num_dimensions; ++i) {
    const std::int64_t size = read_whole(reader, ValueType::kU64, what);
    if (size < 1 || __builtin_mul_overflow(num_elements, size, &num_elements)) {
      reader.refuse(
          what, "dimensions must be from 1, and their product fit 63 bits", std::to_string(size));
    }
    entry.tensor.shape.insert(entry.tensor.shape.begin(), size);
  }
  const auto type_number = reader.number<std::uint32_t>(what);
  const auto type = known_type(type_number);
  if (!type) {
    reader.refuse(
        what,
        "must be of type F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K",
        type_text(type_number));
  }
  entry.tensor.type = *type;
  const GgufBlock block = gguf_block(*type);
  if (entry.tensor.shape.back() % block.num_elements != 0) {
    reader.refuse(
        what,
        "its rows must be whole blocks of " + std::to_string(block.num_elements),
        std::to_string(entry.tensor.shape.back()) + " elements");
  }
  std::int64_t num_bytes = 0;
  if (__builtin_mul_overflow(num_elements / block.num_elements, block.num_bytes, &num_bytes)) {
    reader.refuse(what, "its bytes must fit 63 bits", std::to_string(num_elements) + " elements");
  }
  entry.num_bytes = static_cast<std::uint64_t>(num_bytes);
  entry.begin = reader.number<std::uint64_t>(what);
  return entry;
}

/// Every tensor must lie aligned, in the file, and behind the one before it.
void check_places(
    const std::vector<Entry>& entries,
    std::uint64_t data_bytes,
    std::uint64_t alignment,
    const Reader& reader) {
  std::vector<const Entry*> order;
  for (const Entry& entry : entries) {
    order.push_back(&entry);
  }
  std::stable_sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return a->begin < b->begin;
  });
  std::uint64_t end = 0;
  for (const Entry* entry : order) {
    const std::string what = "tensor `" + entry->tensor.name + "`";
    if (entry->begin % alignment != 0) {
      reader.refuse(
          what,
          "must lie on a multiple of " + std::to_string(alignment),
          std::to_string(entry->begin));
    }
    if (entry->begin < end) {
      reader.refuse(
          what,
          "must not overlap another tensor",
          "begin " + std::to_string(entry->begin) + " after end " + std::to_string(end));
    }
    if (entry->begin > data_bytes || entry->num_bytes > data_bytes - entry->begin) {
      reader.refuse(
          what,
          "must end within the file",
          std::to_string(entry->num_bytes) + " bytes at " + std::to_string(entry->begin) + " of " +
              std::to_string(data_bytes) + " (is the file truncated?)");
    }
    end = entry->begin + entry->num_bytes;
  }
}

} // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : file_(std::make_shared<MappedFile>(path)) {
  const std::span<const std::byte> bytes = file_->bytes();
  Reader reader(bytes, path.string());
  const auto magic = reader.number<std::uint32_t>("the first bytes");
  if (magic != kMagic) {
    reader.refuse("the first bytes", "must be GGUF", "others (is this a GGUF file?)");
  }
  const auto version = reader.number<std::uint32_t>("the version");
  if (version != 2 && version != 3) {
    const bool swapped = version == 0x02000000 || version == 0x03000000;
    reader.refuse(
        "the version", "must be 2 or 3", swapped ? "a big-endian file" : std::to_string(version));
  }
  constexpr std::size_t kLeastTensorBytes = 8 + 4 + 8 + 4 + 8, kLeastPairBytes = 8 + 4 + 1;
  const std::size_t num_tensors = reader.count(kLeastTensorBytes, "the number of tensors");
  const std::size_t num_pairs = reader.count(kLeastPairBytes, "the number of metadata");
  for (std::size_t i = 0; i < num_pairs; ++i) {
    const std::string key = reader.text("the key of metadata " + std::to_string(i));
    if (!metadata_.emplace(key, read_value(reader, "metadata `" + key + "`")).second) {
      reader.refuse("metadata `" + key + "`", "must not come twice", "a second one");
    }
  }
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < num_tensors; ++i) {
    entries.push_back(read_entry(reader, i));
    if (!index_.emplace(entries.back().tensor.name, i).second) {
      reader.refuse(
          "tensor `" + entries.back().tensor.name + "`", "must not come twice", "a second one");
    }
  }
  const auto* given = find<std::int64_t>("general.alignment");
  const std::int64_t alignment = given == nullptr ? kDefaultAlignment : *given;
  if (alignment < 1 || alignment > (1 << 20) ||
      !std::has_single_bit(static_cast<std::uint64_t>(alignment))) {
    reader.refuse(
        "metadata `general.alignment`",
        "must be a power of two up to 1048576",
        std::to_string(alignment));
  }
  const auto step = static_cast<std::size_t>(alignment);
  const std::size_t data_begin = (reader.position() + step - 1) / step * step;
  const auto data =
      data_begin <= bytes.size() ? bytes.subspan(data_begin) : std::span<const std::byte>();
  check_places(entries, data.size(), step, reader);
  for (Entry& entry : entries) {
    entry.tensor.bytes = data.subspan(
        static_cast<std::size_t>(entry.begin), static_cast<std::size_t>(entry.num_bytes));
    tensors_.push_back(std::move(entry.tensor));
  }
}

const std::filesystem::path& GgufFile::path() const {
  return file_->path();
}

const GgufTensor* GgufFile::find_tensor(const std::string& name) const {
  const auto position = index_.find(name);
  return position == index_.end() ? nullptr : &tensors_[position->second];
}

} // namespace fcc
