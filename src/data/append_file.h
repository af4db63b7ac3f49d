#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace fcc {

/// A file that grows at its end; what lies behind `size_bytes` when it is opened is cut off.
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
  /// Puts everything on the disk.
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

} // namespace fcc
