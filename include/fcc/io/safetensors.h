#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fcc/core/dtype.h"

namespace fcc {

class MappedFile;

/// One tensor of a file (its bytes are memory-mapped: they live as long as the file object), or of
/// a file to be written (its bytes are the caller's).
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes; ///< row-major, little-endian
};

using Metadata = std::map<std::string, std::string>;

/// A safetensors file, read strictly: header of at most 100 MB, offsets in order without overlap or
/// holes, sizes equal to shape × dtype with checked products, no bytes after the last tensor,
/// no name twice. Errors: `IoError`, `FormatError` naming the file and the tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::vector<TensorView>& tensors() const {
    return tensors_;
  }
  /// Errors: `FormatError` if absent, with the nearest name.
  const TensorView& at(const std::string& name) const;
  bool contains(const std::string& name) const;
  const Metadata& metadata() const {
    return metadata_;
  }

 private:
  std::shared_ptr<MappedFile> file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t> index_;
  Metadata metadata_;
};

/// `model.safetensors`, or `model.safetensors.index.json` with its shards, as one set of tensors.
/// File names in the index must stay in the directory; every tensor must be where the index says,
/// and no shard may hold one that the index lacks.
class SafetensorsDirectory {
 public:
  /// `stem`: "model" → model.safetensors, model.safetensors.index.json.
  explicit SafetensorsDirectory(const std::filesystem::path& directory, const std::string& stem = "model");

  const std::vector<TensorView>& tensors() const {
    return tensors_;
  }
  const TensorView& at(const std::string& name) const;
  bool contains(const std::string& name) const;

 private:
  std::vector<SafetensorsFile> files_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t> index_;
};

/// Writes a file and syncs it to the disk. Errors: `IoError` (a full disk too), `FormatError` on
/// equal names or sizes that differ from shape × dtype.
void write_safetensors(
    const std::filesystem::path& path,
    std::span<const TensorView> tensors,
    const Metadata& metadata = {});

/// Writes `stem.safetensors`, or shards of at most `max_shard_bytes` with an index.
void write_safetensors_directory(
    const std::filesystem::path& directory,
    std::span<const TensorView> tensors,
    std::int64_t max_shard_bytes,
    const std::string& stem = "model");

} // namespace fcc
