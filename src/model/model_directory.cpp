#include "model/model_directory.h"

#include <string>
#include <system_error>

#include "fcc/core/error.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

bool has_config(const fs::path& directory) {
  std::error_code absent;
  return fs::is_regular_file(directory / "config.json", absent);
}

/// The whole checkpoint of the most steps; empty if there is none.
fs::path newest_checkpoint(const fs::path& checkpoints) {
  fs::path newest;
  std::error_code absent;
  for (fs::directory_iterator entry(checkpoints, absent), end; entry != end;
       entry.increment(absent)) {
    const std::string name = entry->path().filename().string();
    const std::string best = newest.filename().string();
    // Steps have leading zeros: of two names the later one in the alphabet, or the longer one.
    const bool is_newer = name.size() != best.size() ? name.size() > best.size() : name > best;
    if (name.starts_with("step-") && is_newer && has_config(entry->path())) {
      newest = entry->path();
    }
  }
  return newest;
}

/// The model in the folder of a run, or among its checkpoints; empty if there is none.
fs::path model_of_run(const fs::path& directory) {
  if (has_config(directory / "final")) {
    return directory / "final";
  }
  const fs::path newest = newest_checkpoint(directory / "checkpoints");
  return newest.empty() ? newest_checkpoint(directory) : newest;
}

bool has_weights(const fs::path& directory) {
  std::error_code absent;
  return fs::exists(directory / "model.safetensors", absent) ||
         fs::exists(directory / "model.safetensors.index.json", absent);
}

} // namespace

void require_model_directory(const fs::path& directory) {
  std::error_code absent;
  const std::string where = directory.string();
  if (!has_weights(directory)) {
    if (const fs::path model = model_of_run(directory); !model.empty()) {
      throw ConfigError(
          where, "is the folder of a run, not of a model", {}, "the model is in " + model.string());
    }
    if (fs::is_regular_file(directory / "metrics.jsonl", absent)) {
      throw ConfigError(
          where,
          "is the folder of a run that has saved no model yet",
          {},
          "its checkpoints and, at the end, final/ are models");
    }
  }
  if (!has_config(directory)) {
    const char* found = !fs::exists(directory, absent)         ? "nothing there"
                        : !fs::is_directory(directory, absent) ? "a file"
                                                               : "no config.json in it";
    throw ConfigError(
        where,
        "must be a model's directory",
        found,
        "final/ or a checkpoint of fcc-train, or a Hugging Face Llama's directory");
  }
}

} // namespace fcc
