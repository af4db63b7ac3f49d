#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace fcc {

/// A directory that appears whole or not at all: files are written to `path()` beside the target,
/// and `commit()` lists them with their hashes in `manifest.json`, syncs everything and renames.
///
/// An existing target is replaced, if it is one that may be (`require_replaceable`): where the file
/// system can, by exchanging the two names in one step. A link is followed. `manifest.json` says of
/// each file, by its name relative to the directory, its `bytes` and `sha256`: those of what was
/// written by `AtomicFile`, not of what the disk then gives back, so that `verify_manifest` finds
/// what was changed on the way.
///
/// Without `commit()` the destructor removes what was written. A leftover of a killed process
/// (`.NAME.tmp-*`) is removed by the next writer of the same target.
/// Errors: `IoError` (a full disk too); the old target then stays as it was.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(std::filesystem::path target);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& path() const {
    return temporary_;
  }
  void commit();

 private:
  void replace_by_renaming(bool has_old);

  std::filesystem::path target_, temporary_;
  int lock_ = -1; ///< keeps other writers from taking the temporary for a leftover; -1: done
};

/// Refuses a directory that replacing would take something from that no `AtomicDirectory` made: it
/// must not exist, be empty, or hold nothing but what its `manifest.json` lists, changed or not,
/// and what desktops and file systems leave about (.DS_Store, Thumbs.db, .nfs…). Errors: `IoError`
/// naming what else is there.
void require_replaceable(const std::filesystem::path& directory);

/// Checks every file that the `manifest.json` of `directory` lists, by size and SHA-256. Other
/// files may lie beside them. Errors: `FormatError` naming the file that is changed or missing,
/// `IoError` if one cannot be read.
void verify_manifest(const std::filesystem::path& directory);

/// Checks those files of `directory` that are there, that its manifest lists and that `wanted`
/// chooses by name; without a manifest, none. Errors: `FormatError` naming the file.
void verify_listed_files(
    const std::filesystem::path& directory,
    const std::function<bool(const std::string&)>& wanted);

} // namespace fcc
