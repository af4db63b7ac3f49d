#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <set>
#include <system_error>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "io/tensor_size.h"

namespace fcc {
namespace fs = std::filesystem;
namespace {

JsonValue::Array to_json(std::span<const std::int64_t> integers) {
  JsonValue::Array array;
  for (const std::int64_t integer : integers) {
    array.push_back({integer});
  }
  return array;
}

/// Length and header, padded with spaces so that the tensors begin at a multiple of 8 bytes.
std::string header_bytes(
    std::span<const TensorHeader> tensors,
    const Metadata& metadata,
    const std::string& where,
    std::uint64_t& data_bytes) {
  JsonValue::Object header;
  if (!metadata.empty()) {
    JsonValue::Object object;
    for (const auto& [key, text] : metadata) {
      object.push_back({key, {text}});
    }
    header.push_back({"__metadata__", {std::move(object)}});
  }
  std::set<std::string> names{"__metadata__"};
  std::int64_t end = 0;
  for (const TensorHeader& tensor : tensors) {
    const std::string place = where + ": tensor `" + tensor.name + "`";
    if (!names.insert(tensor.name).second) {
      throw FormatError(place, "must have a name of its own");
    }
    const std::optional<std::uint64_t> size = tensor_bytes(tensor.dtype, tensor.shape);
    const std::int64_t begin = end;
    if (!size || __builtin_add_overflow(begin, *size, &end)) {
      throw FormatError(
          place, "shape × dtype must fit 63 bits", json_text({to_json(tensor.shape)}, 0));
    }
    JsonValue::Object entry;
    entry.push_back({"dtype", {std::string(dtype_name(tensor.dtype))}});
    entry.push_back({"shape", {to_json(tensor.shape)}});
    entry.push_back({"data_offsets", {to_json(std::vector<std::int64_t>{begin, end})}});
    header.push_back({tensor.name, {std::move(entry)}});
  }
  data_bytes = static_cast<std::uint64_t>(end);
  std::string text = json_text({std::move(header)}, 0);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + text;
}

std::string shard_file_name(const std::string& stem, std::size_t shard, std::size_t num_shards) {
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, "-%05zu-of-%05zu", shard + 1, num_shards);
  return stem + numbers + ".safetensors";
}

/// `stem-00001-of-00002.safetensors`, with any two numbers.
bool is_shard_name(const std::string& name, const std::string& stem) {
  std::string pattern = shard_file_name(stem, 0, 1);
  return name.size() == pattern.size() &&
         std::equal(name.begin(), name.end(), pattern.begin(), [&](char have, char want) {
           return have == want || (have >= '0' && have <= '9' && want >= '0' && want <= '9');
         });
}

void remove_other_files(
    const fs::path& directory,
    const std::string& stem,
    const std::set<std::string>& kept) {
  std::vector<fs::path> surplus;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const bool is_ours = name == stem + ".safetensors" ||
                         name == stem + ".safetensors.index.json" || is_shard_name(name, stem);
    if (is_ours && !kept.contains(name)) {
      surplus.push_back(entry.path());
    }
  }
  for (const fs::path& path : surplus) {
    std::error_code error;
    if (!fs::remove(path, error)) {
      throw IoError(path.string(), "must be removable", error.message());
    }
  }
}

} // namespace

SafetensorsStreamWriter::SafetensorsStreamWriter(
    const fs::path& path,
    std::span<const TensorHeader> tensors,
    const Metadata& metadata)
    : path_(path.string()) {
  const std::string header = header_bytes(tensors, metadata, path_, bytes_left_);
  file_ = std::make_unique<AtomicFile>(path);
  file_->write(header);
}

SafetensorsStreamWriter::~SafetensorsStreamWriter() = default;

void SafetensorsStreamWriter::append(std::span<const std::byte> bytes) {
  if (bytes.size() > bytes_left_) {
    throw FormatError(
        path_,
        "no more bytes may be appended than the headers say",
        std::to_string(bytes.size() - bytes_left_) + " bytes too many");
  }
  file_->write(bytes);
  bytes_left_ -= bytes.size();
}

void SafetensorsStreamWriter::commit() {
  if (bytes_left_ != 0) {
    throw FormatError(
        path_,
        "all bytes that the headers say must be appended",
        std::to_string(bytes_left_) + " bytes too few");
  }
  file_->commit();
}

namespace {

using WriteTensor = std::function<void(std::size_t, const AppendBytes&)>;

std::uint64_t size_of(const TensorHeader& tensor, const std::string& where) {
  const std::optional<std::uint64_t> size = tensor_bytes(tensor.dtype, tensor.shape);
  if (!size) {
    throw FormatError(
        where + ": tensor `" + tensor.name + "`",
        "shape × dtype must fit 63 bits",
        json_text({to_json(tensor.shape)}, 0));
  }
  return *size;
}

/// One file of the tensors `chosen`, wider types first.
void write_file(
    const fs::path& path,
    std::span<const TensorHeader> tensors,
    std::vector<std::size_t> chosen,
    const Metadata& metadata,
    const WriteTensor& write) {
  std::stable_sort(chosen.begin(), chosen.end(), [&](std::size_t a, std::size_t b) {
    return dtype_bytes(tensors[a].dtype) > dtype_bytes(tensors[b].dtype);
  });
  std::vector<TensorHeader> headers;
  for (const std::size_t i : chosen) {
    headers.push_back(tensors[i]);
  }
  SafetensorsStreamWriter writer(path, headers, metadata);
  for (const std::size_t i : chosen) {
    std::uint64_t num_bytes = 0;
    write(i, [&](std::span<const std::byte> bytes) {
      num_bytes += bytes.size();
      writer.append(bytes);
    });
    if (num_bytes != size_of(tensors[i], path.string())) {
      throw FormatError(
          path.string() + ": tensor `" + tensors[i].name + "`",
          "must have as many bytes as shape × dtype",
          std::to_string(num_bytes));
    }
  }
  writer.commit();
}

std::vector<TensorHeader> headers_of(std::span<const TensorView> tensors) {
  std::vector<TensorHeader> headers;
  for (const TensorView& tensor : tensors) {
    headers.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  return headers;
}

WriteTensor writer_of(std::span<const TensorView> tensors) {
  return [tensors](std::size_t i, const AppendBytes& append) { append(tensors[i].bytes); };
}

} // namespace

void write_safetensors(
    const fs::path& path,
    std::span<const TensorView> tensors,
    const Metadata& metadata) {
  const std::vector<TensorHeader> headers = headers_of(tensors);
  std::vector<std::size_t> all(headers.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  write_file(path, headers, std::move(all), metadata, writer_of(tensors));
}

void write_safetensors_directory(
    const fs::path& directory,
    std::span<const TensorView> tensors,
    std::int64_t max_shard_bytes,
    const std::string& stem) {
  write_safetensors_directory(
      directory, headers_of(tensors), max_shard_bytes, writer_of(tensors), stem);
}

void write_safetensors_directory(
    const fs::path& directory,
    std::span<const TensorHeader> tensors,
    std::int64_t max_shard_bytes,
    const WriteTensor& write,
    const std::string& stem) {
  // `transformers` refuses a file that does not say which framework wrote it.
  const Metadata metadata{{"format", "pt"}};
  std::vector<std::vector<std::size_t>> shards;
  std::int64_t shard_bytes = 0, total_bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto size = static_cast<std::int64_t>(size_of(tensors[i], directory.string()));
    if (shards.empty() || shard_bytes > max_shard_bytes - size) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shards.back().push_back(i);
    shard_bytes += size;
    total_bytes += size;
  }
  if (shards.size() <= 1) {
    shards.resize(1); // no tensor at all is a file too
    write_file(directory / (stem + ".safetensors"), tensors, shards[0], metadata, write);
    remove_other_files(directory, stem, {stem + ".safetensors"});
    return;
  }
  std::set<std::string> kept{stem + ".safetensors.index.json"};
  std::set<std::string> names;
  JsonValue::Object weight_map;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string file_name = shard_file_name(stem, i, shards.size());
    for (const std::size_t tensor : shards[i]) {
      if (!names.insert(tensors[tensor].name).second) {
        throw FormatError(
            directory.string() + ": tensor `" + tensors[tensor].name + "`",
            "must have a name of its own");
      }
      weight_map.push_back({tensors[tensor].name, {file_name}});
    }
    write_file(directory / file_name, tensors, shards[i], metadata, write);
    kept.insert(file_name);
  }
  JsonValue::Object totals, index;
  totals.push_back({"total_size", {total_bytes}});
  index.push_back({"metadata", {std::move(totals)}});
  index.push_back({"weight_map", {std::move(weight_map)}});
  write_file_atomic(
      directory / (stem + ".safetensors.index.json"), json_text({std::move(index)}) + "\n");
  remove_other_files(directory, stem, kept);
}

} // namespace fcc
