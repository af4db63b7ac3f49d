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

/// Syncs a file or a directory's entries to the disk. Errors: `IoError`.
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

/// Locks a new temporary for the life of the descriptor, so that no other writer removes it;
/// false if another one was faster and it is gone.
bool lock_temporary(int descriptor);

} // namespace fcc
