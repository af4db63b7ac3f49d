#include "data/random_access_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "fcc/core/error.h"

namespace fcc {

RandomAccessFile::RandomAccessFile(std::filesystem::path path)
    // Without O_NONBLOCK a pipe would be waited for.
    : RandomAccessFile(path, ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    throw IoError(path_.string(), "cannot be looked at", std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    throw IoError(path_.string(), "must be a regular file");
  }
  size_bytes_ = status.st_size;
}

RandomAccessFile::RandomAccessFile(std::filesystem::path path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {
  if (descriptor < 0) {
    throw IoError(path_.string(), "cannot open", std::strerror(errno));
  }
}

RandomAccessFile RandomAccessFile::temporary() {
  std::string name = (std::filesystem::temp_directory_path() / "fcc-XXXXXX").string();
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  RandomAccessFile file(name, descriptor);
  ::unlink(name.c_str());
  return file;
}

RandomAccessFile::RandomAccessFile(RandomAccessFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_bytes_(other.size_bytes_) {}

RandomAccessFile::~RandomAccessFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void RandomAccessFile::read(std::int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(descriptor_, bytes.data(), bytes.size(), offset);
    if (got > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(got));
      offset += got;
    } else if (got == 0) {
      throw IoError(
          path_.string(),
          "must not become shorter while it is read",
          "it ends at byte " + std::to_string(offset));
    } else if (errno != EINTR) {
      throw IoError(path_.string(), "cannot read", std::strerror(errno));
    }
  }
}

void RandomAccessFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), size_bytes_);
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      size_bytes_ += written;
    } else if (errno != EINTR) {
      throw IoError(path_.string(), "cannot write", std::strerror(errno));
    }
  }
}

} // namespace fcc
