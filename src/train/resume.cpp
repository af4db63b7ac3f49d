#include "fcc/train/resume.h"

#include <map>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/core/log.h"
#include "fcc/io/atomic_directory.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void remove_comments(Json& json) {
  if (json.is_object()) {
    json.erase("comment");
  }
  if (json.is_structured()) {
    for (Json& child : json) {
      remove_comments(child);
    }
  }
}

/// `train.stages.0.steps` → its value as text, for every leaf.
void flatten(
    const Json& json,
    const std::string& path,
    std::map<std::string, std::string>& leaves) {
  if (!json.is_structured() || json.empty()) {
    leaves[path] = json.dump();
    return;
  }
  for (const auto& [key, value] : json.items()) {
    flatten(value, path.empty() ? key : path + "." + key, leaves);
  }
}

std::map<std::string, std::string> leaves_of(const std::string& text) {
  std::map<std::string, std::string> leaves;
  flatten(Json::parse(text), "", leaves);
  return leaves;
}

/// A saved course with the keys that settings have got since then, at their defaults.
std::string with_added_keys(const std::string& course) {
  Json json = Json::parse(course);
  json["output"] = "-"; // no part of a course, but every run has one
  return course_of_config(write_config(read_config<RunConfig>(json.dump(), "trainer.json")));
}

} // namespace

std::string course_of_config(const std::string& resolved_json) {
  Json json = Json::parse(resolved_json);
  remove_comments(json);
  for (const char* key : {"output", "log", "checkpoint"}) {
    json.erase(key);
  }
  if (json.contains("engine")) {
    json["engine"].erase("cuda_graphs"); // recorded or not, the launches are the same
  }
  if (json.contains("data")) {
    json["data"].erase("validation");
  }
  if (json.contains("train")) {
    for (const char* key : {"validate_every", "validation_batches", "validation_segments"}) {
      json["train"].erase(key);
    }
  }
  return json.dump();
}

EngineSection engine_of_course(const std::string& course) {
  const Json json = Json::parse(course);
  if (!json.contains("engine")) {
    throw FormatError("trainer.json", "must hold the engine's section of the configuration");
  }
  return read_config<EngineSection>(json["engine"].dump(), "trainer.json");
}

void check_same_course(const std::string& saved, const std::string& now) {
  const std::map<std::string, std::string> before = leaves_of(with_added_keys(saved)),
                                           after = leaves_of(now);
  std::set<std::string> keys;
  for (const auto* leaves : {&before, &after}) {
    for (const auto& [key, value] : *leaves) {
      keys.insert(key);
    }
  }
  const auto text = [](const std::map<std::string, std::string>& leaves, const std::string& key) {
    const auto found = leaves.find(key);
    return found == leaves.end() ? std::string("absent") : found->second;
  };
  std::string changes;
  for (const std::string& key : keys) {
    const std::string old_value = text(before, key), new_value = text(after, key);
    if (old_value != new_value) {
      changes +=
          (changes.empty() ? "" : ", ") + key + " (was " + old_value + ", is " + new_value + ")";
    }
  }
  if (!changes.empty()) {
    throw ConfigError(
        "resume",
        "these keys would alter the course of the run: " + changes,
        {},
        "set them back (config.json in the run's folder has them all: --config it), or start a new "
        "run with another output and model.path");
  }
}

std::optional<fs::path> find_checkpoint(
    const RunFiles& run,
    const std::optional<std::string>& resume) {
  const std::vector<std::int64_t> steps = run.checkpoint_steps();
  if (steps.empty() && (!resume || *resume == "auto") && fs::exists(run.root() / "final")) {
    throw ConfigError(
        "output",
        "holds a finished run without its checkpoints",
        run.root().string(),
        "set another output, or move it away");
  }
  if (!resume) {
    if (!steps.empty()) {
      throw ConfigError(
          "output",
          "holds the checkpoints of a run already",
          run.root().string(),
          "add --resume auto to go on with it, or set another output");
    }
    return std::nullopt;
  }
  if (*resume != "auto") {
    if (!fs::is_directory(*resume)) {
      throw ConfigError("--resume", "must be `auto` or a checkpoint directory", *resume);
    }
    if (fs::is_directory(fs::path(*resume) / "checkpoints")) {
      throw ConfigError(
          "--resume",
          "must be a checkpoint; this is the folder of a run",
          *resume,
          "`auto` takes the newest of the run in `output`; all are in " + *resume + "/checkpoints");
    }
    if (!fs::exists(fs::path(*resume) / "trainer.json")) {
      throw ConfigError(
          "--resume",
          "must be a checkpoint, with trainer.json and the optimizer's states",
          *resume,
          "a run that starts from a model has it as model.path");
    }
    verify_manifest(*resume);
    return *resume;
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const fs::path path = run.checkpoint(*step);
    try {
      verify_manifest(path);
      return path;
    } catch (const Error& error) {
      log(LogLevel::kWarning,
          "broken checkpoint passed over: " + path.string() + ": " + error.what());
    }
  }
  if (!steps.empty()) {
    throw FormatError(
        (run.root() / "checkpoints").string(),
        "holds no checkpoint that is whole",
        {},
        "move them away to start anew");
  }
  return std::nullopt;
}

} // namespace fcc
