#include "io/posix.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>

#include "fcc/core/error.h"

namespace fcc {
namespace fs = std::filesystem;
void throw_io_error(const fs::path& path, const std::string& rule) {
  const int reason = errno;
  const char* hint = reason == ENOSPC   ? "free some space on the disk"
                     : reason == EDQUOT ? "the disk quota is used up"
                                        : "";
  throw IoError(path.string(), rule, std::generic_category().message(reason), hint);
}

Descriptor::~Descriptor() {
  if (value_ >= 0) {
    ::close(value_);
  }
}

Descriptor open_to_read(const fs::path& path) {
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) {
    throw_io_error(path, "must be readable");
  }
  return descriptor;
}

void sync_path(const fs::path& path) {
  const Descriptor descriptor = open_to_read(path);
  if (::fsync(descriptor.get()) != 0) {
    throw_io_error(path, "must reach the disk");
  }
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

std::string leftover_prefix(const fs::path& target) {
  std::string prefix = ".";
  prefix += target.filename().string();
  prefix += ".tmp-";
  return prefix;
}

void remove_leftovers(const fs::path& target) {
  const std::string prefix = leftover_prefix(target);
  std::error_code ignored; // a leftover that cannot be removed is in nobody's way
  for (const auto& entry : fs::directory_iterator(parent_of(target), ignored)) {
    if (!entry.path().filename().string().starts_with(prefix)) {
      continue;
    }
    const Descriptor descriptor(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (descriptor.get() >= 0 && ::flock(descriptor.get(), LOCK_EX | LOCK_NB) == 0) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

fs::path temporary_name(const fs::path& target) {
  static std::atomic<unsigned> count{0};
  return parent_of(target) /
         (leftover_prefix(target) + std::to_string(::getpid()) + "-" + std::to_string(count++));
}

bool lock_temporary(int descriptor) {
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    return false;
  }
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

} // namespace fcc
