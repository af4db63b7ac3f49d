#include "train/append_buffer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::size_t kMuchBytes = std::size_t{1} << 16;

} // namespace

AppendBuffer::AppendBuffer(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    throw IoError(path_.string(), "must be writable", std::strerror(errno));
  }
}

AppendBuffer::~AppendBuffer() {
  write_pending(); // a destructor has nobody to tell; `flush` has told before
  ::close(descriptor_);
}

void AppendBuffer::add(std::string_view bytes) {
  pending_ += bytes;
  if (pending_.size() >= kMuchBytes) {
    write_pending(); // a failure shows itself at the next flush
  }
}

void AppendBuffer::flush() {
  if (!write_pending()) {
    throw IoError(path_.string(), "must be writable", std::strerror(errno));
  }
}

void AppendBuffer::sync() {
  flush();
  if (::fsync(descriptor_) != 0) {
    throw IoError(path_.string(), "must reach the disk", std::strerror(errno));
  }
}

bool AppendBuffer::write_pending() {
  std::size_t done = 0;
  bool good = true;
  while (good && done < pending_.size()) {
    const ssize_t count = ::write(descriptor_, pending_.data() + done, pending_.size() - done);
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
    } else {
      good = errno == EINTR;
    }
  }
  pending_.erase(0, done); // leaves errno alone
  return good;
}

} // namespace fcc
