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
#include "fcc/train/checkpoint.h"

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

/// Where data and tokenizer lie does not matter: their content is compared (`Trainer::restore`).
void erase_paths(Json& datasets) {
  for (Json& dataset : datasets) {
    if (dataset.is_object()) {
      dataset.erase("path");
    }
  }
}

/// Files as the manifest says, under the name of their step, if the folder has such a name: `auto`
/// goes by names.
void check_whole(const fs::path& checkpoint) {
  const std::int64_t step = verify_checkpoint(checkpoint);
  const fs::path folder = checkpoint.has_filename() ? checkpoint : checkpoint.parent_path();
  const std::string name = folder.filename().string();
  if (name.starts_with("step-") && name != RunFiles({}).checkpoint(step).filename()) {
    throw FormatError(
        checkpoint.string(),
        "the folder's name must say the step that its trainer.json does, " + std::to_string(step));
  }
}

/// The settings of a course must be whole to be read: paths stand in for those that are no part
/// of it, and what an older version did stands for a key that it did not know.
void complete_datasets(Json& datasets) {
  for (Json& dataset : datasets) {
    const std::string type = dataset.value("type", "tokens");
    const bool reads_file = type != "passkey" && type != "task" &&
                            (type != "recall" || dataset.value("text_share", 0.0) > 0);
    if (reads_file && !dataset.contains("path")) {
      dataset["path"] = "-";
    }
    if (type == "pairs" && !dataset.contains("shuffle")) {
      dataset["shuffle"] = false;
    }
  }
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

/// What `read` makes of a saved course. One that someone else wrote may hold anything anywhere.
template <typename Read>
auto of_saved_course(const Read& read) {
  try {
    return read();
  } catch (const Json::exception& error) {
    throw FormatError("trainer.json, config", "must hold the settings of a run", error.what());
  }
}

/// A course with the keys that came after it was saved, at their defaults: what the run had.
std::string with_later_keys(const std::string& course) {
  Json json = Json::parse(course);
  json["output"] = "run";
  if (json.contains("data")) {
    Json& data = json["data"];
    for (const char* part : {"train", "validation"}) {
      if (data.contains(part)) {
        complete_datasets(data[part]);
      }
    }
    if (data.contains("tokenizer") && !data["tokenizer"].contains("path") &&
        data["tokenizer"].value("type", "auto") != "bytes") {
      data["tokenizer"]["path"] = "-";
    }
  }
  if (json.contains("train") && json["train"].contains("stages")) {
    for (Json& stage : json["train"]["stages"]) {
      if (stage.contains("data") && stage["data"].is_array()) {
        complete_datasets(stage["data"]);
      }
    }
  }
  try {
    return course_of_config(write_config(read_config<RunConfig>(json.dump(), "trainer.json")));
  } catch (const ConfigError&) {
    return course; // not whole: compared as it is
  }
}

std::vector<Change> changes_of(const std::string& saved, const std::string& now) {
  const auto before = of_saved_course([&] { return leaves_of(with_later_keys(saved)); });
  const std::map<std::string, std::string> after = leaves_of(with_later_keys(now));
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
    json["engine"].erase("layer_ranks"); // wherever the layers are
    if (json["engine"].value("kernels", "auto") == "auto") {
      json["engine"].erase("kernels"); // checkpoints from before the key existed lack it
    }
  }
  const bool watches = watches_validation(json); // what is validated decides when a stage ends
  if (json.contains("data")) {
    if (!watches) {
      json["data"].erase("validation");
    } else {
      erase_paths(json["data"]["validation"]);
    }
    if (json["data"].contains("train")) {
      erase_paths(json["data"]["train"]);
    }
    if (json["data"].contains("tokenizer")) {
      json["data"]["tokenizer"].erase("path");
    }
  }
  if (json.contains("train")) {
    for (const char* key : {"max_skipped_steps", "max_consecutive_skipped_steps"}) {
      json["train"].erase(key);
    }
    for (const char* key : {"validate_every", "validation_batches", "validation_segments"}) {
      if (!watches) {
        json["train"].erase(key);
      }
    }
    if (json["train"].contains("stages")) {
      for (Json& stage : json["train"]["stages"]) {
        if (stage.contains("data")) {
          erase_paths(stage["data"]);
        }
      }
    }
  }
  return json.dump();
}

EngineSection engine_of_course(const std::string& course) {
  const Json json = of_saved_course([&] { return Json::parse(course); });
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
  const auto before = read_config<TrainSection>(
      of_saved_course([&] { return json.at("train").dump(); }), "trainer.json");
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
    check_whole(*resume);
    return *resume;
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const fs::path path = run.checkpoint(*step);
    try {
      check_whole(path);
      return path;
    } catch (const IoError&) {
      throw; // a disk that fails now may not fail later: going back would lose these steps
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
