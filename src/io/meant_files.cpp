#include "io/meant_files.h"

#include <mutex>
#include <utility>

namespace fcc {
namespace {

namespace fs = std::filesystem;

/// The temporaries of this process that are being filled: writers know their file's path alone,
/// and a manifest is made long after them.
struct Notes {
  std::mutex mutex;
  std::map<std::string, MeantFiles> folders;

  /// The folder that `file` lies in, or the end. `mutex` must be held.
  auto folder_of(const fs::path& file) {
    auto found = folders.begin();
    while (found != folders.end() && !file.generic_string().starts_with(found->first + '/')) {
      ++found;
    }
    return found;
  }
};

Notes& notes() {
  static Notes all;
  return all;
}

} // namespace

void begin_noting(const fs::path& folder) {
  const std::scoped_lock lock(notes().mutex);
  notes().folders[folder.generic_string()].clear();
}

MeantFiles end_noting(const fs::path& folder) {
  const std::scoped_lock lock(notes().mutex);
  auto node = notes().folders.extract(folder.generic_string());
  return node.empty() ? MeantFiles() : std::move(node.mapped());
}

bool is_noted(const fs::path& file) {
  const std::scoped_lock lock(notes().mutex);
  return notes().folder_of(file) != notes().folders.end();
}

void note_meant(const fs::path& file, MeantFile meant) {
  const std::scoped_lock lock(notes().mutex);
  const auto folder = notes().folder_of(file);
  if (folder != notes().folders.end()) {
    folder->second[file.generic_string().substr(folder->first.size() + 1)] = std::move(meant);
  }
}

} // namespace fcc
