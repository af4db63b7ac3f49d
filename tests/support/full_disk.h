#pragma once

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <filesystem>

#include "support/temporary_directory.h"

namespace fcc {

/// While it lives, no file of this process grows beyond `bytes`: writes fail, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    previous_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{bytes, previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    ::signal(SIGXFSZ, previous_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit previous_{};
  sighandler_t previous_handler_ = SIG_DFL;
};

/// A disk of 256 KiB, where the system lets us make one (root may); otherwise a plain folder.
class SmallDisk {
 public:
  SmallDisk() {
    is_mounted_ = ::mount("fcc_test", path().c_str(), "tmpfs", 0, "size=256k") == 0;
  }
  ~SmallDisk() {
    if (is_mounted_) {
      ::umount(path().c_str());
    }
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  const std::filesystem::path& path() const {
    return directory_.path();
  }
  /// The largest file that may be written: the disk's own limit says enough where there is one.
  rlim_t file_size_limit() const {
    return is_mounted_ ? RLIM_INFINITY : rlim_t{128} << 10;
  }
  bool is_mounted() const {
    return is_mounted_;
  }

 private:
  TemporaryDirectory directory_;
  bool is_mounted_ = false;
};

} // namespace fcc
