#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace fcc {

/// What was written to a file. The disk may come to hold something else.
struct MeantFile {
  std::int64_t bytes = 0;
  std::string sha256; ///< in lower-case hex
};

/// By the names of files relative to their folder, with `/`.
using MeantFiles = std::map<std::string, MeantFile>;

/// From now on files that are written below `folder` by `AtomicFile`, by whichever thread, are
/// noted for the manifest that will seal it: a hash of what is read back would seal what a disk or
/// a memory has changed by then. The folder's name must be this process's own (a temporary).
void begin_noting(const std::filesystem::path& folder);

/// What was noted of `folder` since; notes nothing more.
MeantFiles end_noting(const std::filesystem::path& folder);

/// Whether `file` lies in a folder that is noted.
bool is_noted(const std::filesystem::path& file);

/// Notes a file that was written; a later note of the same file takes the earlier one's place.
void note_meant(const std::filesystem::path& file, MeantFile meant);

} // namespace fcc
