#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace fcc {

/// A file that grows, through memory: bytes that cannot be written (a full disk) wait there for the
/// next attempt, so that a disk that is full for a while loses nothing and ends nothing.
class AppendBuffer {
 public:
  /// Creates the file, or opens it to go on at its end. Errors: `IoError`.
  explicit AppendBuffer(std::filesystem::path path);
  /// Writes what it can.
  ~AppendBuffer();
  AppendBuffer(const AppendBuffer&) = delete;
  AppendBuffer& operator=(const AppendBuffer&) = delete;

  const std::filesystem::path& path() const {
    return path_;
  }

  /// Keeps the bytes; much of it is handed to the system at once, and if that fails, later.
  void add(std::string_view bytes);
  /// Hands everything to the system. Errors: `IoError`; what is left stays for the next attempt.
  void flush();
  /// The same, to the disk.
  void sync();

 private:
  bool write_pending();

  std::filesystem::path path_;
  std::string pending_;
  int descriptor_ = -1;
};

} // namespace fcc
