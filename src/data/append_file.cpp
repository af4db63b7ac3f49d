#include "data/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "fcc/core/error.h"

namespace fcc {

AppendFile::AppendFile(std::filesystem::path path, std::int64_t size_bytes)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  const auto fail = [this](const char* rule) {
    const int reason = errno;
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
    throw IoError(path_.string(), rule, std::strerror(reason));
  };
  if (descriptor_ < 0) {
    fail("cannot open");
  }
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    fail("cannot be looked at");
  }
  if (status.st_size < size_bytes) {
    ::close(descriptor_);
    throw FormatError(
        path_.string(),
        "an interrupted run left " + std::to_string(size_bytes) + " bytes here",
        std::to_string(status.st_size),
        "--restart begins anew");
  }
  if (::ftruncate(descriptor_, size_bytes) != 0) {
    fail("cannot be cut");
  }
}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      throw IoError(path_.string(), "cannot write", std::strerror(errno));
    }
  }
}

void AppendFile::sync() {
  if (::fsync(descriptor_) != 0) {
    throw IoError(path_.string(), "cannot sync", std::strerror(errno));
  }
}

} // namespace fcc
