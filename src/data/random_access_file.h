#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace fcc {

/// A file that is read at any place, from any thread. Not mapped: where others cut it off while it
/// is in use, the read is an error, not the end of the process.
class RandomAccessFile {
 public:
  /// Errors: `IoError`, also where it is no regular file.
  explicit RandomAccessFile(std::filesystem::path path);
  /// A file without a name in the folder for temporary files, to be filled by `append`.
  static RandomAccessFile temporary();
  ~RandomAccessFile();
  RandomAccessFile(RandomAccessFile&& other) noexcept;
  RandomAccessFile& operator=(RandomAccessFile&&) = delete;

  const std::filesystem::path& path() const {
    return path_;
  }
  /// When it was opened, or what was appended.
  std::int64_t size_bytes() const {
    return size_bytes_;
  }
  /// Fills `bytes` from `offset` on. Errors: `IoError`, also where the file ends before.
  void read(std::int64_t offset, std::span<std::byte> bytes) const;
  /// Errors: `IoError`.
  void append(std::span<const std::byte> bytes);

 private:
  RandomAccessFile(std::filesystem::path path, int descriptor);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t size_bytes_ = 0;
};

} // namespace fcc
