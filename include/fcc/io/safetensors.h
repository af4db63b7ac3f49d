#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fcc/core/dtype.h"

namespace fcc {

class AtomicFile;
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
  /// The whole file.
  std::span<const std::byte> bytes() const;

 private:
  std::shared_ptr<MappedFile> file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t> index_;
  Metadata metadata_;
};

/// `model.safetensors`, or `model.safetensors.index.json` with its shards, as one set of tensors.
/// File names in the index must stay in the directory; every tensor must be where the index says,
/// and no shard may hold one that the index lacks. Errors: `IoError`, `FormatError`.
class SafetensorsDirectory {
 public:
  /// `stem`: "model" → model.safetensors, model.safetensors.index.json.
  explicit SafetensorsDirectory(
      const std::filesystem::path& directory,
      const std::string& stem = "model");

  const std::vector<TensorView>& tensors() const {
    return tensors_;
  }
  const TensorView& at(const std::string& name) const;
  bool contains(const std::string& name) const;

 private:
  std::filesystem::path directory_;
  std::vector<SafetensorsFile> files_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t> index_;
};

/// Name, type and shape of a tensor whose bytes come later.
struct TensorHeader {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
};

/// Writes a file whose tensors need not fit in memory: the headers are known first, the bytes are
/// appended piece by piece in the headers' order. The file appears whole at `commit()`, or not at
/// all. Tensors lie without holes, so a wider type behind an odd number of narrower elements is
/// not aligned in the mapped file: name wider types first.
///
///     SafetensorsStreamWriter writer(path, {{"tokens", DType::kU16, {n}}});
///     while (more) writer.append(std::as_bytes(std::span(ids)));
///     writer.commit();
///
/// Errors: `IoError` (a full disk too), `FormatError` on equal names, bad shapes, or a sum of
/// appended bytes other than what the headers say.
class SafetensorsStreamWriter {
 public:
  SafetensorsStreamWriter(
      const std::filesystem::path& path,
      std::span<const TensorHeader> tensors,
      const Metadata& metadata = {});
  ~SafetensorsStreamWriter();

  void append(std::span<const std::byte> bytes);
  void commit();

 private:
  std::unique_ptr<AtomicFile> file_;
  std::string path_;
  std::uint64_t bytes_left_ = 0;
};

/// Writes a file and syncs it to the disk; it appears whole or not at all. Wider element types come
/// first, so that every tensor is aligned in the mapped file; equal types keep the given order.
/// Errors: `IoError` (a full disk too), `FormatError` on equal names or sizes that differ from
/// shape × dtype.
void write_safetensors(
    const std::filesystem::path& path,
    std::span<const TensorView> tensors,
    const Metadata& metadata = {});

/// Writes `stem.safetensors`, or, where that would exceed `max_shard_bytes`, shards of at most so
/// many bytes of tensors (one larger tensor is a shard of its own) with an index. What another
/// number of shards left in the directory is removed. Errors: as `write_safetensors`.
void write_safetensors_directory(
    const std::filesystem::path& directory,
    std::span<const TensorView> tensors,
    std::int64_t max_shard_bytes,
    const std::string& stem = "model");

/// The same for tensors that need not fit in memory together: `write(i, append)` hands the bytes of
/// tensor `i` to `append`, piece by piece; each tensor is asked for once.
using AppendBytes = std::function<void(std::span<const std::byte>)>;
void write_safetensors_directory(
    const std::filesystem::path& directory,
    std::span<const TensorHeader> tensors,
    std::int64_t max_shard_bytes,
    const std::function<void(std::size_t, const AppendBytes&)>& write,
    const std::string& stem = "model");

} // namespace fcc
