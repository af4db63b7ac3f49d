#include "fcc/train/resume.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>
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
using namespace nlohmann::literals;

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

/// Some stage's `until` looks at validations.
bool watches_validation(const Json& json) {
  const Json stages = json.value("/train/stages"_json_pointer, Json::array());
  return std::any_of(stages.begin(), stages.end(), [](const Json& stage) {
    const std::string metric =
        stage.is_object() ? stage.value("/until/metric"_json_pointer, "") : "";
    return metric.starts_with("validation_");
  });
}

struct Change {
  std::string key, was, is;
};

/// A course with the keys that came after it was saved, at their defaults: what the run had.
std::string with_later_keys(const std::string& course) {
  Json json = Json::parse(course);
  json["output"] = "run";
  try {
    return course_of_config(write_config(read_config<RunConfig>(json.dump(), "trainer.json")));
  } catch (const ConfigError&) {
    return course; // not whole: compared as it is
  }
}

std::vector<Change> changes_of(const std::string& saved, const std::string& now) {
  const std::map<std::string, std::string> before = leaves_of(with_later_keys(saved)),
                                           after = leaves_of(with_later_keys(now));
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
  std::vector<Change> changes;
  for (const std::string& key : keys) {
    Change change{key, text(before, key), text(after, key)};
    if (change.was != change.is) {
      changes.push_back(std::move(change));
    }
  }
  return changes;
}

std::string text_of(const std::vector<Change>& changes) {
  std::string text;
  for (const Change& change : changes) {
    text += (text.empty() ? "" : ", ") + change.key + " (was " + change.was + ", is " + change.is;
    text += ')';
  }
  return text;
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
  if (watches_validation(json)) {
    return json.dump(); // what is validated decides when a stage ends
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
  const std::string changes = text_of(changes_of(saved, now));
  if (!changes.empty()) {
    throw ConfigError(
        "resume",
        "these keys would alter the course of the run: " + changes,
        {},
        "set them back (config.json in the run's folder has them all: --config it), say "
        "--new-course to go on with them, or start a new run with another output and model.path");
  }
}

std::string check_new_course(const std::string& saved, const std::string& now) {
  std::vector<Change> changes = changes_of(saved, now);
  std::vector<Change> fixed;
  std::copy_if(changes.begin(), changes.end(), std::back_inserter(fixed), [](const Change& change) {
    return change.key.starts_with("model") || change.key.starts_with("data");
  });
  if (!fixed.empty()) {
    throw ConfigError(
        "--new-course",
        "the model and the data stay as they were: " + text_of(fixed),
        {},
        "start a new run with another output and model.path");
  }
  return text_of(changes);
}

Curriculum::State position_on_new_course(
    const std::string& saved,
    const TrainSection& now,
    Curriculum::State position) {
  const Json json = Json::parse(saved);
  const auto before = read_config<TrainSection>(json.at("train").dump(), "trainer.json");
  const auto num_before = static_cast<std::int64_t>(before.stages.size());
  const auto num_now = static_cast<std::int64_t>(now.stages.size());
  if (position.stage == num_before && num_now == num_before) { // the last stage, if it is longer
    const StageConfig& last = before.stages.back();
    if (last.until) {
      throw ConfigError(
          "--new-course", "the last stage ended by its `until`", last.name, "add a stage after it");
    }
    position.stage = num_before - 1;
    position.step_in_stage = last.steps;
  }
  if (position.stage < num_now &&
      position.step_in_stage >= now.stages[static_cast<std::size_t>(position.stage)].steps) {
    Curriculum::State next;
    next.step = position.step;
    next.stage = position.stage + 1;
    position = std::move(next);
  }
  if (position.stage >= num_now) {
    throw ConfigError(
        "--new-course",
        "must leave steps to train; the run is at step " + std::to_string(position.step),
        {},
        "raise the last stage's steps, or add a stage");
  }
  return position;
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
