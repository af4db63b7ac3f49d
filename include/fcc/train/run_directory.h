#pragma once

#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

namespace fcc {

/// Where a run keeps its files:
///
///     config.json                 the resolved configuration
///     log.txt, metrics.jsonl      text log; one JSON object a step and a validation
///     events/                     TensorBoard
///     checkpoints/step-00000100/  everything a resumed run needs
///     best/                       the model with the lowest validation loss, with keep_best
///     final/                      the trained model, for fcc-eval and fcc-generate
class RunFiles {
 public:
  explicit RunFiles(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const {
    return root_;
  }
  std::filesystem::path checkpoint(std::int64_t step) const;

  /// Steps of the checkpoints that are there, oldest first (whole or broken: see
  /// `verify_manifest`).
  std::vector<std::int64_t> checkpoint_steps() const;

 private:
  std::filesystem::path root_;
};

/// The same to write in, with the lock that keeps a second trainer out.
class RunDirectory : public RunFiles {
 public:
  /// Creates the directory and takes its lock until destruction (or the end of the process).
  /// Errors: `IoError` if it cannot be made or locked, `Error` if another process trains in it.
  explicit RunDirectory(const std::filesystem::path& root);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  /// Removes the oldest checkpoints until `keep_last` are left, but never that of `newest_step`.
  /// Each is renamed first, so that a killed removal leaves no half checkpoint under its name.
  void prune_checkpoints(std::int64_t keep_last, std::int64_t newest_step) const;

  /// Renames the checkpoints of later steps than this, whole or broken, to `set-aside-step-…`: a
  /// run that goes on from here makes its own. Returns their new names.
  std::vector<std::filesystem::path> set_later_aside(std::int64_t step) const;

  /// Removes what killed writers and removals left under hidden names.
  void remove_leftovers() const;

 private:
  int lock_ = -1;
};

} // namespace fcc
