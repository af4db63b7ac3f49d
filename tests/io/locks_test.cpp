// Writers on file systems whose locks are absent or fail. `flock` of this program is the one below.

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <system_error>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "io/posix.h"
#include "support/temporary_directory.h"

namespace {

int failing_errno = 0; ///< 0: the system's own flock
int num_calls = 0;
int failing_call = -1; ///< -1: every call fails

} // namespace

extern "C" int flock(int descriptor, int operation) noexcept {
  const bool fails = failing_errno != 0 && (failing_call < 0 || num_calls == failing_call);
  ++num_calls;
  if (fails) {
    errno = failing_errno;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_flock, descriptor, operation));
}

namespace fcc {
namespace {

namespace fs = std::filesystem;

class FailingLocks {
 public:
  explicit FailingLocks(int reason, int call = -1) {
    failing_errno = reason;
    failing_call = call;
    num_calls = 0;
  }
  ~FailingLocks() {
    failing_errno = 0;
  }
  FailingLocks(const FailingLocks&) = delete;
  FailingLocks& operator=(const FailingLocks&) = delete;
};

std::ptrdiff_t num_entries(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

void write_directory(const fs::path& target) {
  AtomicDirectory directory(target);
  write_file_atomic(directory.path() / "a.txt", "content");
  write_file_atomic(directory.path() / "b.txt", "content");
  directory.commit();
}

TEST(Locks, WhereThereAreNoneFilesAndDirectoriesAreRefusedNamingFlockAndTheReason) {
  for (const int reason : {ENOSYS, ENOLCK, EOPNOTSUPP, EIO}) {
    const TemporaryDirectory parent;
    const FailingLocks failing(reason);
    const std::string expected = std::generic_category().message(reason);
    for (const auto& write :
         {std::function<void()>([&] { write_file_atomic(parent / "file", "content"); }),
          std::function<void()>([&] { write_directory(parent / "directory"); })}) {
      try {
        write();
        FAIL() << expected;
      } catch (const IoError& error) {
        EXPECT_NE(std::string(error.what()).find("flock"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
      }
    }
    EXPECT_EQ(num_entries(parent.path()), 0) << "leftovers";
  }
}

TEST(Locks, OneFailureAtAnyCallLeavesAWholeDirectory) {
  for (const int reason : {ENOLCK, EINTR, EWOULDBLOCK}) {
    for (int call = 0; call < 6; ++call) {
      const TemporaryDirectory parent;
      write_directory(parent / "directory");
      const FailingLocks failing(reason, call);
      try {
        write_directory(parent / "directory");
      } catch (const IoError&) {
        EXPECT_EQ(reason, ENOLCK);
      }
      verify_manifest(parent / "directory");
      EXPECT_EQ(read_plain(parent / "directory/a.txt"), "content");
    }
  }
}

TEST(Locks, TakenByOthersForEverAreAnErrorAndNoEndlessLoop) {
  const TemporaryDirectory parent;
  const FailingLocks failing(EWOULDBLOCK);
  EXPECT_THROW(write_file_atomic(parent / "file", "content"), IoError);
  EXPECT_THROW(AtomicDirectory directory(parent / "directory"), IoError);
}

TEST(Locks, ATemporaryLeftInADirectoryIsNoPartOfIt) {
  const TemporaryDirectory parent;
  {
    AtomicDirectory directory(parent / "c");
    write_plain(directory.path() / "a.txt", "content");
    write_plain(directory.path() / ".a.txt.tmp-12-3", "of a writer that failed");
    directory.commit();
  }
  EXPECT_EQ(read_plain(parent / "c/manifest.json").find(".a.txt.tmp"), std::string::npos);
  fs::remove(parent / "c/.a.txt.tmp-12-3");
  verify_manifest(parent / "c");
}

TEST(Locks, TemporariesAreKnownByTheirNames) {
  EXPECT_TRUE(is_temporary_name(temporary_name("folder/a.txt").filename().string()));
  for (const char* name : {".a.tmp-", ".a.tmp-b", "a.tmp-1-0", ".tmp-x", ".a", ""}) {
    EXPECT_FALSE(is_temporary_name(name)) << name;
  }
}

} // namespace
} // namespace fcc
