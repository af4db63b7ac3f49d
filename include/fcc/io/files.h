#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
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

/// A file that appears whole or not at all: bytes go to a file beside the target, and `commit()`
/// syncs and renames it, so that the old content stays until the new is on the disk. A link is
/// followed. What is there and is no regular file (a device, a FIFO, /dev/stdout) stays what it is:
/// bytes go to it as they come.
///
/// Without `commit()` the destructor removes what was written; what a killed process left
/// (`.NAME.tmp-*`) is removed by the next writer of the same target. Errors: `IoError`.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  class Meant;

  std::filesystem::path target_, temporary_;
  int descriptor_ = -1;
  std::unique_ptr<Meant> meant_; ///< in a folder whose manifest will ask; else null
};

/// Refuses a path that `AtomicFile` could not write, before hours of work for it. Writes nothing.
/// Errors: `IoError`.
void require_writable(const std::filesystem::path& path);

/// Syncs a file, or a folder's entries, to the disk. Errors: `IoError`.
void sync_to_disk(const std::filesystem::path& path);

/// Whether two paths are one place, however they are spelled: the same file or folder, or, where
/// nothing is yet, the same name in the same folder. Errors: as `AtomicFile` on a path.
bool is_same_path(const std::filesystem::path& a, const std::filesystem::path& b);

/// Writes a whole file by `AtomicFile`.
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

/// SHA-256 in lower-case hex, of bytes or of a file.
std::string sha256_hex(std::string_view bytes);
std::string sha256_hex_of_file(const std::filesystem::path& path);

/// Tells a large file from another at once: SHA-256 of its length, its first and last 64 KiB and
/// 256 pages of 4 KiB spread evenly over it. A change between those goes unseen.
std::string file_fingerprint(std::span<const std::byte> content);

} // namespace fcc
