#include "fcc/train/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "io/posix.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";

std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
  if (parsed.ec != std::errc() || parsed.ptr != end || step < 0) {
    return std::nullopt;
  }
  return step;
}

/// A run writes into a new folder, an empty one, one of other things, or its own: never over the
/// files of a model or of another program that happen to have the names of its own.
void refuse_foreign_folder(const fs::path& root) {
  const fs::path folder = followed(root);
  std::error_code error;
  for (const char* name : {"model.safetensors", "model.safetensors.index.json"}) {
    if (fs::exists(folder / name, error)) {
      throw ConfigError(
          "output", "must not be a folder that holds a model", root.string(), "set another output");
    }
  }
  const RunFiles run(folder);
  if (fs::exists(folder / ".lock", error) || !run.checkpoint_steps().empty()) {
    return; // a run's, perhaps copied
  }
  for (const char* name : {"config.json", "log.txt", "metrics.jsonl", "checkpoints", "final"}) {
    if (fs::exists(fs::symlink_status(folder / name, error))) {
      throw ConfigError(
          "output",
          "must not be a folder with files of another kind that a run would write over",
          (folder / name).string(),
          "set another output");
    }
  }
}

} // namespace

RunDirectory::RunDirectory(const fs::path& root) : RunFiles(root) {
  refuse_foreign_folder(root);
  std::error_code error;
  fs::create_directories(root, error);
  if (error) {
    throw IoError(root.string(), "cannot be created", error.message());
  }
  const fs::path path = root / ".lock";
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) {
    throw IoError(path.string(), "cannot be created", std::strerror(errno));
  }
  try {
    if (!try_lock(lock_, path)) {
      throw Error(
          root.string(), "another process trains in this directory", {}, "set another output");
    }
    // After the lock's file, by which a folder is known as a run's.
    fs::create_directories(root / "checkpoints", error);
    if (error) {
      throw IoError(root.string(), "cannot be created", error.message());
    }
  } catch (const Error&) {
    close(lock_);
    throw;
  }
}

RunDirectory::~RunDirectory() {
  close(lock_);
}

fs::path RunFiles::checkpoint(std::int64_t step) const {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return root_ / "checkpoints" / name;
}

std::vector<std::int64_t> RunFiles::checkpoint_steps() const {
  std::vector<std::int64_t> steps;
  const fs::path folder = root_ / "checkpoints";
  if (!fs::exists(folder)) {
    return steps;
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::optional<std::int64_t> step = step_of(entry.path().filename().string());
    if (step && entry.is_directory()) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void RunDirectory::prune_checkpoints(std::int64_t keep_last, std::int64_t newest_step) const {
  std::vector<std::int64_t> steps = checkpoint_steps();
  std::erase(steps, newest_step);
  const auto kept = static_cast<std::size_t>(std::max<std::int64_t>(keep_last, 1) - 1);
  for (std::size_t i = 0; i + kept < steps.size(); ++i) {
    const fs::path path = checkpoint(steps[i]);
    std::string hidden = ".";
    hidden += path.filename().string();
    const fs::path aside = path.parent_path() / (hidden + ".removed");
    std::error_code error;
    fs::remove_all(aside, error);
    fs::rename(path, aside, error);
    if (!error) {
      fs::remove_all(aside, error);
    }
    if (error) {
      throw IoError(path.string(), "cannot be removed", error.message());
    }
  }
}

std::vector<fs::path> RunDirectory::set_later_aside(std::int64_t step) const {
  std::vector<fs::path> renamed;
  for (const std::int64_t later : checkpoint_steps()) {
    if (later <= step) {
      continue;
    }
    const fs::path path = checkpoint(later);
    const std::string name = "set-aside-" + path.filename().string();
    fs::path aside = path.parent_path() / name;
    for (int i = 2; fs::exists(aside); ++i) {
      aside = path.parent_path() / (name + "-" + std::to_string(i));
    }
    std::error_code error;
    fs::rename(path, aside, error);
    if (error) {
      throw IoError(path.string(), "cannot be renamed", error.message());
    }
    renamed.push_back(std::move(aside));
  }
  if (!renamed.empty()) {
    sync_to_disk(root() / "checkpoints"); // or they were back after a power cut
  }
  return renamed;
}

void RunDirectory::remove_leftovers() const {
  for (const fs::path& folder : {root(), root() / "checkpoints"}) {
    std::vector<fs::path> leftovers;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      // `….old` is a whole directory that AtomicDirectory puts back, should its successor fail.
      const bool ours =
          (name.starts_with(".step-") || name.starts_with(".final.")) && !name.ends_with(".old");
      if (ours && entry.is_directory()) {
        leftovers.push_back(entry.path());
      }
    }
    for (const fs::path& path : leftovers) {
      std::error_code error;
      fs::remove_all(path, error);
      if (error) {
        throw IoError(path.string(), "cannot be removed", error.message());
      }
    }
  }
}

} // namespace fcc
