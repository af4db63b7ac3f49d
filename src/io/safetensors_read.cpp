#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/core/nearest.h"
#include "fcc/core/printable.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "io/tensor_size.h"

namespace fcc {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::size_t kLengthBytes = 8; ///< the header's length, before the header
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxNameBytes = 4096;         ///< of a tensor
constexpr std::size_t kMaxMemberValues = 1'000'000; ///< of one entry or of the metadata

/// A tensor of the header, before its place is checked.
struct Entry {
  TensorView tensor;
  std::uint64_t begin = 0, end = 0; ///< bytes after the header
};

[[noreturn]] void refuse(
    const std::string& where,
    const std::string& tensor,
    const std::string& rule,
    std::string value = {}) {
  throw FormatError(where + ": tensor `" + tensor + "`", rule, std::move(value));
}

/// The header's text. The length comes from the file: nothing is trusted before it is compared.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& where) {
  if (bytes.size() < kLengthBytes) {
    throw FormatError(
        where,
        "must begin with 8 bytes of header length",
        std::to_string(bytes.size()) + " bytes in all");
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    throw FormatError(
        where, "the header must have at most 100000000 bytes", std::to_string(length));
  }
  if (length > bytes.size() - kLengthBytes) {
    throw FormatError(
        where,
        "the header must end within the file",
        "a header of " + std::to_string(length) + " bytes in a file of " +
            std::to_string(bytes.size()),
        "the file is truncated, or no safetensors file");
  }
  const std::string_view text(
      reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, static_cast<std::size_t>(length));
  if (!text.starts_with('{')) {
    throw FormatError(where, "the header must be a JSON object that starts with `{`");
  }
  return text;
}

Metadata read_metadata(const JsonValue& value, const std::string& where) {
  const auto* object = value.as<JsonValue::Object>();
  if (object == nullptr) {
    throw FormatError(
        where, "`__metadata__` must be an object of strings", std::string(json_type_name(value)));
  }
  Metadata metadata;
  for (const JsonMember& member : *object) {
    const auto* text = member.value.as<std::string>();
    if (text == nullptr) {
      throw FormatError(
          where,
          "`__metadata__." + member.key + "` must be a string",
          std::string(json_type_name(member.value)));
    }
    metadata.emplace(member.key, *text);
  }
  return metadata;
}

std::vector<std::int64_t> read_integers(
    const JsonValue* value,
    const std::string& where,
    const std::string& name,
    const char* key) {
  const auto* array = value == nullptr ? nullptr : value->as<JsonValue::Array>();
  if (array == nullptr) {
    refuse(where, name, std::string("`") + key + "` must be a list of whole numbers");
  }
  std::vector<std::int64_t> integers;
  for (const JsonValue& item : *array) {
    const auto* integer = item.as<std::int64_t>();
    if (integer == nullptr || *integer < 0) {
      refuse(
          where,
          name,
          std::string("`") + key + "` must hold whole numbers of at least 0 that fit 64 bits",
          json_text(item, 0));
    }
    integers.push_back(*integer);
  }
  return integers;
}

Entry read_entry(const JsonMember& member, const std::string& where) {
  if (member.key.size() > kMaxNameBytes) {
    refuse(
        where,
        printable_start(member.key, 40),
        "must have a name of at most " + std::to_string(kMaxNameBytes) + " bytes",
        std::to_string(member.key.size()));
  }
  const auto* object = member.value.as<JsonValue::Object>();
  if (object == nullptr) {
    refuse(
        where,
        member.key,
        "must be described by an object",
        std::string(json_type_name(member.value)));
  }
  for (const JsonMember& part : *object) {
    if (part.key != "dtype" && part.key != "shape" && part.key != "data_offsets") {
      refuse(
          where,
          member.key,
          "must have `dtype`, `shape` and `data_offsets` only",
          "`" + part.key + "`");
    }
  }
  Entry entry;
  entry.tensor.name = member.key;
  const JsonValue* const dtype = member.value.find("dtype");
  const auto* const dtype_text = dtype == nullptr ? nullptr : dtype->as<std::string>();
  if (dtype_text == nullptr) {
    refuse(where, member.key, "`dtype` must be a string");
  }
  try {
    entry.tensor.dtype = dtype_from_name(*dtype_text);
  } catch (const FormatError& error) {
    refuse(where, member.key, "`dtype` " + error.rule(), "`" + *dtype_text + "`");
  }
  entry.tensor.shape = read_integers(member.value.find("shape"), where, member.key, "shape");
  const std::vector<std::int64_t> offsets =
      read_integers(member.value.find("data_offsets"), where, member.key, "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    refuse(
        where,
        member.key,
        "`data_offsets` must be two numbers, begin and end, in this order",
        json_text(*member.value.find("data_offsets"), 0));
  }
  entry.begin = static_cast<std::uint64_t>(offsets[0]);
  entry.end = static_cast<std::uint64_t>(offsets[1]);
  const std::optional<std::uint64_t> size = tensor_bytes(entry.tensor.dtype, entry.tensor.shape);
  if (!size) {
    refuse(
        where,
        member.key,
        "shape × dtype must fit 63 bits",
        json_text(*member.value.find("shape"), 0));
  }
  if (*size != entry.end - entry.begin) {
    refuse(
        where,
        member.key,
        "`data_offsets` must span shape × dtype = " + std::to_string(*size) + " bytes",
        std::to_string(entry.end - entry.begin));
  }
  return entry;
}

/// Every byte after the header must belong to exactly one tensor.
void check_places(
    const std::vector<Entry>& entries,
    std::uint64_t data_bytes,
    const std::string& where) {
  std::uint64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end) {
      refuse(
          where,
          entry.tensor.name,
          entry.begin < end ? "must not overlap the tensor before it"
                            : "must begin where the tensor before it ends, without a hole",
          "begin " + std::to_string(entry.begin) + " after end " + std::to_string(end));
    }
    if (entry.end > data_bytes) {
      refuse(
          where,
          entry.tensor.name,
          "must end within the file",
          "end " + std::to_string(entry.end) + " of " + std::to_string(data_bytes) +
              " bytes (is the file truncated?)");
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    throw FormatError(
        where,
        "the file must end with its last tensor",
        std::to_string(data_bytes - end) + " bytes after it");
  }
}

std::vector<std::string> names_of(const std::vector<TensorView>& tensors) {
  std::vector<std::string> names;
  for (const TensorView& tensor : tensors) {
    names.push_back(tensor.name);
  }
  return names;
}

const TensorView& find_tensor(
    const std::vector<TensorView>& tensors,
    const std::map<std::string, std::size_t>& index,
    const std::string& name,
    const std::string& where) {
  const auto position = index.find(name);
  if (position == index.end()) {
    throw FormatError(
        where, "must hold tensor `" + name + "`", "", nearest_hint(name, names_of(tensors)));
  }
  return tensors[position->second];
}

/// The shard that the index names: a plain file name, or the index could read any file.
std::string shard_name(const JsonMember& member, const std::string& where) {
  const auto* name = member.value.as<std::string>();
  if (name == nullptr || name->empty() || *name == "." || *name == ".." ||
      name->find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
    refuse(
        where,
        member.key,
        "must lie in a file of the index's own directory, by its plain name",
        json_text(member.value, 0));
  }
  return *name;
}

} // namespace

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(std::make_shared<MappedFile>(path)) {
  const std::string where = path.string();
  const std::string_view text = header_text(file_->bytes(), where);
  std::vector<Entry> entries;
  // Entry by entry: a tree of the whole header would take many times its size.
  parse_json_members(text, where + ": header", kMaxMemberValues, [&](const JsonMember& member) {
    if (member.key == "__metadata__") {
      metadata_ = read_metadata(member.value, where);
    } else {
      entries.push_back(read_entry(member, where));
    }
  });
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const auto data = file_->bytes().subspan(kLengthBytes + text.size());
  check_places(entries, data.size(), where);
  for (Entry& entry : entries) {
    entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    index_.emplace(entry.tensor.name, tensors_.size());
    tensors_.push_back(std::move(entry.tensor));
  }
}

const TensorView& SafetensorsFile::at(const std::string& name) const {
  return find_tensor(tensors_, index_, name, file_->path().string());
}

std::span<const std::byte> SafetensorsFile::bytes() const {
  return file_->bytes();
}

bool SafetensorsFile::contains(const std::string& name) const {
  return index_.contains(name);
}

SafetensorsDirectory::SafetensorsDirectory(const fs::path& directory, const std::string& stem)
    : directory_(directory) {
  const fs::path single = directory / (stem + ".safetensors");
  const fs::path index_path = directory / (stem + ".safetensors.index.json");
  const bool has_single = fs::exists(single);
  const bool has_index = fs::exists(index_path);
  if (has_single == has_index) {
    const std::string files = single.filename().string() + " or " + index_path.filename().string();
    if (has_single) {
      throw FormatError(directory.string(), "must hold " + files + ", not both");
    }
    throw IoError(directory.string(), "must hold " + files);
  }
  if (has_single) {
    files_.emplace_back(single);
    for (const TensorView& tensor : files_[0].tensors()) {
      index_.emplace(tensor.name, tensors_.size());
      tensors_.push_back(tensor);
    }
    return;
  }

  const std::string where = index_path.string();
  const JsonValue root = parse_json_without_duplicates(read_file(index_path), where);
  const JsonValue* const map = root.find("weight_map");
  const auto* const weights = map == nullptr ? nullptr : map->as<JsonValue::Object>();
  if (weights == nullptr) {
    throw FormatError(where, "must be an object with an object `weight_map`");
  }
  std::map<std::string, std::set<std::string>> shards; // file → tensors it must hold
  for (const JsonMember& member : *weights) {
    shards[shard_name(member, where)].insert(member.key);
  }
  for (const auto& [file_name, names] : shards) {
    const SafetensorsFile& file = files_.emplace_back(directory / file_name);
    for (const std::string& name : names) {
      if (!file.contains(name)) {
        refuse(where, name, "must be in the file that the index names", file_name);
      }
    }
    for (const TensorView& tensor : file.tensors()) {
      if (!names.contains(tensor.name)) {
        refuse(
            where, tensor.name, "must be named by the index for the file that holds it", file_name);
      }
      index_.emplace(tensor.name, tensors_.size());
      tensors_.push_back(tensor);
    }
  }
}

const TensorView& SafetensorsDirectory::at(const std::string& name) const {
  return find_tensor(tensors_, index_, name, directory_.string());
}

bool SafetensorsDirectory::contains(const std::string& name) const {
  return index_.contains(name);
}

} // namespace fcc
