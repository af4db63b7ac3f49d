#include "io/posix.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>
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

Descriptor open_regular_file(const fs::path& path, std::size_t& size) {
  // To a regular file O_NONBLOCK means nothing; opening a FIFO would wait for a writer without it.
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (descriptor.get() < 0 || ::fstat(descriptor.get(), &status) != 0) {
    throw_io_error(path, "must be readable");
  }
  if (!S_ISREG(status.st_mode)) {
    throw IoError(path.string(), "must be a regular file");
  }
  size = static_cast<std::size_t>(status.st_size);
  return descriptor;
}

void sync_path(const fs::path& path) {
  const Descriptor descriptor = open_to_read(path);
  if (::fsync(descriptor.get()) == 0) {
    return;
  }
  const int reason = errno;
  struct stat status {};
  const bool knows_no_sync = reason == EINVAL || reason == ENOSYS || reason == EOPNOTSUPP;
  if (knows_no_sync && ::fstat(descriptor.get(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return;
  }
  errno = reason;
  throw_io_error(path, "must reach the disk");
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

bool is_temporary_name(const std::string& name) {
  constexpr std::string_view kMark = ".tmp-";
  const std::size_t mark = name.rfind(kMark);
  if (!name.starts_with(".") || mark == 0 || mark == std::string::npos) {
    return false;
  }
  const std::string_view numbers = std::string_view(name).substr(mark + kMark.size());
  return !numbers.empty() && numbers.find_first_not_of("0123456789-") == std::string_view::npos;
}

bool try_lock(int descriptor, const fs::path& path) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return false;
    }
    if (errno != EINTR) { // ENOSYS, ENOTSUP, ENOLCK …: as the file system's makers chose
      throw IoError(
          path.string(),
          "flock must be able to lock it",
          std::generic_category().message(errno),
          "write to a file system with locks, or mount this one with them: Lustre by -o flock");
    }
  }
  return true;
}

bool lock_temporary(int descriptor, const fs::path& path) {
  try {
    if (!try_lock(descriptor, path)) {
      return false;
    }
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) {
      throw_io_error(path, "must be readable");
    }
    return status.st_nlink > 0;
  } catch (const IoError&) {
    std::error_code ignored; // the reason counts
    fs::remove(path, ignored);
    throw;
  }
}

void refuse_taken_temporaries(const fs::path& target) {
  throw IoError(
      target.string(),
      "must be writable: other writers of the same path removed each new temporary",
      std::to_string(kMaxTemporaries) + " attempts");
}

fs::path followed(const fs::path& target) {
  constexpr int kMaxLinks = 40; // as Linux
  if (!target.empty() && *target.begin() == "~") {
    throw IoError(
        target.string(),
        "must not begin with `~`, which only a shell expands",
        {},
        "write the home directory out; a folder of that name is ./~");
  }
  fs::path path = target.has_filename() ? target : target.parent_path();
  std::error_code error;
  for (int i = 0; i < kMaxLinks; ++i) {
    const std::string name = path.string();
    if (name.starts_with("/proc/") || name.starts_with("/dev/fd/")) {
      return path; // what a process has open is more than its name
    }
    const fs::path link = fs::read_symlink(path, error);
    if (error) {
      return path; // no link, or nothing that can be looked at: then the attempt tells
    }
    path = link.is_absolute() ? link : parent_of(path) / link;
  }
  throw IoError(target.string(), "must not be a link in a ring");
}

} // namespace fcc
