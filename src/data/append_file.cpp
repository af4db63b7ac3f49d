#include "data/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "data/block_checksums.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::int64_t kReadBytes = std::int64_t{1} << 20;

} // namespace

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
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(size_bytes, kReadBytes)));
  for (std::int64_t at = 0; at < size_bytes; at += kReadBytes) {
    const auto part =
        std::span(buffer).first(static_cast<std::size_t>(std::min(size_bytes - at, kReadBytes)));
    try {
      read(at, part);
    } catch (...) {
      ::close(descriptor_); // no destructor runs after a constructor that failed
      throw;
    }
    checksum_ = crc32_of(part, checksum_);
  }
}

void AppendFile::require_checksum(std::uint32_t expected) const {
  if (checksum_ != expected) {
    throw FormatError(
        path_.string(),
        "must be as an interrupted run left it",
        "it does not have its checksum",
        "the file was damaged: --restart begins anew");
  }
}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::append(std::span<const std::byte> bytes) {
  checksum_ = crc32_of(bytes, checksum_); // of what was meant
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      throw IoError(path_.string(), "cannot write", std::strerror(errno));
    }
  }
}

void AppendFile::read(std::int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(descriptor_, bytes.data(), bytes.size(), offset);
    if (got > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(got));
      offset += got;
    } else if (got == 0 || errno != EINTR) {
      throw IoError(
          path_.string(), "cannot read", got == 0 ? "the file is too short" : std::strerror(errno));
    }
  }
}

void AppendFile::sync() {
  if (::fsync(descriptor_) != 0) {
    throw IoError(path_.string(), "cannot sync", std::strerror(errno));
  }
}

} // namespace fcc
