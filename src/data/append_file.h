#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace fcc {

/// A file that grows at its end; what lies behind `size_bytes` when it is opened is cut off.
/// What it keeps is read once, for the checksum.
class AppendFile {
 public:
  /// Errors: `IoError`; `FormatError` if the file is shorter than `size_bytes`.
  AppendFile(std::filesystem::path path, std::int64_t size_bytes);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  const std::filesystem::path& path() const {
    return path_;
  }
  void append(std::span<const std::byte> bytes);
  /// Fills `bytes` from `offset` on. Errors: `IoError`, also where the file ends before.
  void read(std::int64_t offset, std::span<std::byte> bytes) const;
  /// Puts everything on the disk.
  void sync();

  /// CRC-32 of all that was kept when the file was opened and appended since.
  std::uint32_t checksum() const {
    return checksum_;
  }
  /// Errors: `FormatError` unless the checksum is this one: the file was damaged.
  void require_checksum(std::uint32_t expected) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint32_t checksum_ = 0;
};

} // namespace fcc
