#pragma once

#include <filesystem>
#include <string>
#include <utility>

namespace fcc {

/// Throws `IoError` about `path` with the reason in `errno`.
[[noreturn]] void throw_io_error(const std::filesystem::path& path, const std::string& rule);

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  int get() const {
    return value_;
  }
  int release() {
    return std::exchange(value_, -1);
  }

 private:
  int value_;
};

/// Opens for reading. Errors: `IoError`.
Descriptor open_to_read(const std::filesystem::path& path);

/// Opens a regular file for reading and puts its size into `size`; a FIFO or a device is refused
/// without waiting for its other end. Errors: `IoError`.
Descriptor open_regular_file(const std::filesystem::path& path, std::size_t& size);

/// Syncs a file or a directory's entries to the disk. Some file systems (of networks, in user
/// space) know no sync of directories: there the entries go their own way. Errors: `IoError`.
void sync_path(const std::filesystem::path& path);

/// The directory that holds `path`.
std::filesystem::path parent_of(const std::filesystem::path& path);

/// `.NAME.tmp-`: how the temporaries of a target begin.
std::string leftover_prefix(const std::filesystem::path& target);

/// Removes the leftovers `.NAME.tmp-*` beside `target` whose writers are gone (a living writer
/// holds a lock on its own).
void remove_leftovers(const std::filesystem::path& target);

/// A new name `.NAME.tmp-PROCESS-COUNT` beside `target`.
std::filesystem::path temporary_name(const std::filesystem::path& target);

/// Takes the lock of an open file or folder, for the life of the descriptor, without waiting; false
/// if another one holds it. Errors: `IoError` about `path` where the file system has no locks or
/// has run out of them: nothing would keep a second writer from what this one has begun.
bool try_lock(int descriptor, const std::filesystem::path& path);

/// Whether `name` is that of a temporary, of any target.
bool is_temporary_name(const std::string& name);

/// Locks a new temporary for the life of the descriptor, so that no other writer removes it; false
/// if another one was faster: it is gone, or goes. Errors: `IoError` about `path`, which is then
/// removed.
bool lock_temporary(int descriptor, const std::filesystem::path& path);

/// Temporaries that other writers may take before this one gives up.
inline constexpr int kMaxTemporaries = 100;

/// Throws `IoError`: others took `kMaxTemporaries` of them.
[[noreturn]] void refuse_taken_temporaries(const std::filesystem::path& target);

/// Where writing to `target` arrives: links followed, also one that leads nowhere yet; no slash at
/// the end. Errors: `IoError` on links in a ring, and on a first folder `~`, which only shells
/// expand.
std::filesystem::path followed(const std::filesystem::path& target);

} // namespace fcc
