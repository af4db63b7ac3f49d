#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace fcc {

/// A file mapped read-only. Errors: `IoError`.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const {
    return bytes_;
  }
  const std::filesystem::path& path() const {
    return path_;
  }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// The whole file. Errors: `IoError`.
std::string read_file(const std::filesystem::path& path);

/// Writes beside the target, syncs and renames: the old content stays until the new is on the disk.
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

/// SHA-256 in lower-case hex, of bytes or of a file.
std::string sha256_hex(std::string_view bytes);
std::string sha256_hex_of_file(const std::filesystem::path& path);

} // namespace fcc
