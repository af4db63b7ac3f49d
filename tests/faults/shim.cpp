// Loaded before libc (LD_PRELOAD), fails, cuts short or kills at a chosen file operation of the
// program; scripts/fault_sweep.py drives it. Operations are counted in the order in which they
// come, over all threads, if they concern a path below FCC_FAULT_UNDER.
//
//   FCC_FAULT_UNDER  the folder, by its absolute path; unset: nothing is counted
//   FCC_FAULT_TRACE  a file to which each operation's name and path are appended
//   FCC_FAULT_CALLS  names, separated by commas, of the operations that fail; unset: all
//   FCC_FAULT_FROM, FCC_FAULT_TO   the first and the last that fails, counted among those, from 1
//   FCC_FAULT_KIND   `errno:NUMBER`, `short` (half of the bytes), `kill-before` or `kill-after`
//
// fsync and open of a folder are called fsync_folder and open_folder. pthread_create is counted
// where FCC_FAULT_CALLS names it.

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Settings {
  std::string under, trace, calls, kind;
  long from = 0, to = 0;

  static std::string text(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
  }
  Settings()
      : under(text("FCC_FAULT_UNDER")),
        trace(text("FCC_FAULT_TRACE")),
        calls(","),
        kind(text("FCC_FAULT_KIND")),
        from(std::atol(text("FCC_FAULT_FROM").c_str())),
        to(std::atol(text("FCC_FAULT_TO").c_str())) {
    calls += text("FCC_FAULT_CALLS");
    calls += ',';
  }
  static std::string in_commas(const std::string& call) {
    std::string text = ",";
    text += call;
    text += ',';
    return text;
  }
  bool chooses(const std::string& call) const {
    return calls == ",," ? call != "pthread_create"
                         : calls.find(in_commas(call)) != std::string::npos;
  }
};

const Settings& settings() {
  static const Settings once;
  return once;
}

std::atomic<long> count{0};

/// What happens to one operation.
struct Fault {
  int error = 0; ///< it fails with this
  bool is_short = false;
  bool kills_after = false;

  /// After the operation.
  template <typename Result>
  Result passed(Result result) const {
    if (kills_after) {
      ::kill(::getpid(), SIGKILL);
    }
    return result;
  }
};

void write_trace(const std::string& call, const std::string& path) {
  const std::string line = call + " " + path + "\n";
  const long file = ::syscall(
      SYS_openat, AT_FDCWD, settings().trace.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file >= 0) {
    ::syscall(SYS_write, file, line.data(), line.size());
    ::syscall(SYS_close, file);
  }
}

Fault fault_of(const std::string& call, const std::string& path) {
  const Settings& all = settings();
  const bool is_below = !all.under.empty() && path.starts_with(all.under);
  if (!all.chooses(call) || !(is_below || call == "pthread_create")) {
    return {};
  }
  const long number = ++count;
  if (!all.trace.empty()) {
    write_trace(call, path);
  }
  if (number < all.from || number > all.to) {
    return {};
  }
  if (all.kind == "kill-before") {
    ::kill(::getpid(), SIGKILL);
  }
  Fault fault;
  fault.kills_after = all.kind == "kill-after";
  fault.is_short = all.kind == "short";
  if (all.kind.starts_with("errno:")) {
    fault.error = std::atoi(all.kind.c_str() + std::strlen("errno:"));
  }
  return fault;
}

std::string path_of(int descriptor) {
  char buffer[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const long size = ::syscall(SYS_readlinkat, AT_FDCWD, link.c_str(), buffer, sizeof buffer);
  return size < 0 ? std::string() : std::string(buffer, static_cast<std::size_t>(size));
}

std::string path_at(int folder, const char* path) {
  const std::string name = path == nullptr ? "" : path;
  return folder == AT_FDCWD || name.starts_with('/') ? name : path_of(folder) + "/" + name;
}

bool is_folder(int descriptor) {
  struct stat status {};
  return ::syscall(SYS_newfstatat, descriptor, "", &status, AT_EMPTY_PATH) == 0 &&
         S_ISDIR(status.st_mode);
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int open_at(int folder, const char* path, int flags, mode_t mode) {
  const Fault fault =
      fault_of((flags & O_DIRECTORY) != 0 ? "open_folder" : "open", path_at(folder, path));
  if (fault.error != 0) {
    errno = fault.error;
    return -1;
  }
  return fault.passed(static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode)));
}

/// A call that names a path or a descriptor and answers with a number.
template <typename... Arguments>
long made(const Fault& fault, long number, Arguments... arguments) {
  if (fault.error != 0) {
    errno = fault.error;
    return -1;
  }
  return fault.passed(::syscall(number, arguments...));
}

std::size_t bytes_of(const Fault& fault, std::size_t wanted) {
  return fault.is_short && wanted > 1 ? wanted / 2 : wanted;
}

mode_t mode_in(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

} // namespace

#define FCC_OPEN(name)                             \
  int name(const char* path, int flags, ...) {     \
    va_list arguments;                             \
    va_start(arguments, flags);                    \
    const mode_t mode = mode_in(flags, arguments); \
    va_end(arguments);                             \
    return open_at(AT_FDCWD, path, flags, mode);   \
  }
#define FCC_OPENAT(name)                                   \
  int name(int folder, const char* path, int flags, ...) { \
    va_list arguments;                                     \
    va_start(arguments, flags);                            \
    const mode_t mode = mode_in(flags, arguments);         \
    va_end(arguments);                                     \
    return open_at(folder, path, flags, mode);             \
  }

#pragma GCC diagnostic ignored "-Wshadow" // flock() has a struct's name
extern "C" {
FCC_OPEN(open)
FCC_OPEN(open64)
FCC_OPENAT(openat)
FCC_OPENAT(openat64)

ssize_t read(int file, void* bytes, size_t size) {
  const Fault fault = fault_of("read", path_of(file));
  return made(fault, SYS_read, file, bytes, bytes_of(fault, size));
}
ssize_t pread(int file, void* bytes, size_t size, off_t at) {
  const Fault fault = fault_of("pread", path_of(file));
  return made(fault, SYS_pread64, file, bytes, bytes_of(fault, size), at);
}
ssize_t pread64(int file, void* bytes, size_t size, off64_t at) {
  return pread(file, bytes, size, at);
}
ssize_t write(int file, const void* bytes, size_t size) {
  const Fault fault = fault_of("write", path_of(file));
  return made(fault, SYS_write, file, bytes, bytes_of(fault, size));
}
ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) {
  const Fault fault = fault_of("pwrite", path_of(file));
  return made(fault, SYS_pwrite64, file, bytes, bytes_of(fault, size), at);
}
ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t at) {
  return pwrite(file, bytes, size, at);
}
int fsync(int file) {
  const Fault fault = fault_of(is_folder(file) ? "fsync_folder" : "fsync", path_of(file));
  return static_cast<int>(made(fault, SYS_fsync, file));
}
int fdatasync(int file) {
  return static_cast<int>(made(fault_of("fdatasync", path_of(file)), SYS_fdatasync, file));
}
int close(int file) {
  // The descriptor goes whatever close answers.
  const Fault fault = fault_of("close", path_of(file));
  const long result = ::syscall(SYS_close, file);
  if (fault.error != 0) {
    errno = fault.error;
    return -1;
  }
  return static_cast<int>(fault.passed(result));
}
int ftruncate(int file, off_t size) noexcept {
  return static_cast<int>(made(fault_of("ftruncate", path_of(file)), SYS_ftruncate, file, size));
}
int ftruncate64(int file, off64_t size) noexcept {
  return ftruncate(file, size);
}
int flock(int file, int operation) noexcept {
  return static_cast<int>(made(fault_of("flock", path_of(file)), SYS_flock, file, operation));
}
off_t lseek(int file, off_t offset, int whence) noexcept {
  return made(fault_of("lseek", path_of(file)), SYS_lseek, file, offset, whence);
}
off64_t lseek64(int file, off64_t offset, int whence) noexcept {
  return lseek(file, offset, whence);
}
void* mmap(void* start, size_t size, int protection, int flags, int file, off_t at) noexcept {
  const Fault fault = file < 0 ? Fault() : fault_of("mmap", path_of(file));
  const long result = made(fault, SYS_mmap, start, size, protection, flags, file, at);
  return reinterpret_cast<void*>(result);
}
void* mmap64(void* start, size_t size, int protection, int flags, int file, off64_t at) noexcept {
  return mmap(start, size, protection, flags, file, at);
}
int fstat(int file, struct stat* status) noexcept {
  const Fault fault = fault_of("fstat", path_of(file));
  return static_cast<int>(made(fault, SYS_newfstatat, file, "", status, AT_EMPTY_PATH));
}
int stat(const char* path, struct stat* status) noexcept {
  return static_cast<int>(made(fault_of("stat", path), SYS_newfstatat, AT_FDCWD, path, status, 0));
}
int lstat(const char* path, struct stat* status) noexcept {
  const Fault fault = fault_of("lstat", path);
  return static_cast<int>(made(fault, SYS_newfstatat, AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW));
}
int mkdir(const char* path, mode_t mode) noexcept {
  return static_cast<int>(made(fault_of("mkdir", path), SYS_mkdirat, AT_FDCWD, path, mode));
}
int rename(const char* from, const char* to) noexcept {
  return static_cast<int>(
      made(fault_of("rename", to), SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int renameat2(
    int from_folder,
    const char* from,
    int to_folder,
    const char* to,
    unsigned flags) noexcept {
  const Fault fault = fault_of("renameat2", path_at(to_folder, to));
  return static_cast<int>(made(fault, SYS_renameat2, from_folder, from, to_folder, to, flags));
}
int link(const char* from, const char* to) noexcept {
  return static_cast<int>(made(fault_of("link", to), SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int unlink(const char* path) noexcept {
  return static_cast<int>(made(fault_of("unlink", path), SYS_unlinkat, AT_FDCWD, path, 0));
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  const Fault fault = fault_of("unlinkat", path_at(folder, path));
  return static_cast<int>(made(fault, SYS_unlinkat, folder, path, flags));
}
int rmdir(const char* path) noexcept {
  return static_cast<int>(
      made(fault_of("rmdir", path), SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}
int remove(const char* path) noexcept {
  const Fault fault = fault_of("remove", path);
  if (fault.error != 0) {
    errno = fault.error;
    return -1;
  }
  static const auto real = next<int(const char*)>("remove");
  return fault.passed(real(path));
}
DIR* opendir(const char* path) {
  const Fault fault = fault_of("opendir", path);
  if (fault.error != 0) {
    errno = fault.error;
    return nullptr;
  }
  static const auto real = next<DIR*(const char*)>("opendir");
  return fault.passed(real(path));
}
int pthread_create(
    pthread_t* thread,
    const pthread_attr_t* attributes,
    void* (*body)(void*),
    void* argument) noexcept {
  const Fault fault = fault_of("pthread_create", "");
  if (fault.error != 0) {
    return fault.error;
  }
  static const auto real =
      next<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  return real(thread, attributes, body, argument);
}
} // extern "C"
