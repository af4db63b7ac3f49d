#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace fcc {

/// A file's content as a stream, decompressed.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Fills the front of `out` and returns how much; 0 only at the end.
  /// Errors: `IoError`; `FormatError` on compressed data that is corrupt or cut off.
  virtual std::size_t read(std::span<char> out) = 0;

  /// Passes over `count` bytes. Errors: `FormatError` if there are fewer.
  virtual void skip(std::int64_t count);

  /// Bytes of the file itself that were read: how far it is.
  virtual std::int64_t consumed_bytes() const = 0;
};

/// `.gz` and `.zst` by name (any number of members or frames), anything else as it is.
std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path);

/// The last extension with its dot, in lower case: `.TXT` is as good as `.txt`.
std::string lower_extension(const std::filesystem::path& path);

} // namespace fcc
