#include "fcc_train/missing_paths.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/train/trainer.h"

namespace fcc::tools {
namespace {

namespace fs = std::filesystem;

/// A configuration that writes into the folder which `path` lies in.
struct Recipe {
  fs::path file;
  RunConfig config;
};

std::optional<Recipe> recipe_of(const fs::path& path, const fs::path& folder) {
  std::error_code failure;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, failure)) {
    if (entry.path().extension() == ".json") {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    try {
      auto config = read_config<RunConfig>(read_file(file), file.string());
      if (fs::path(config.output).lexically_normal() == path.lexically_normal().parent_path()) {
        return Recipe{file, std::move(config)};
      }
    } catch (const Error&) {
      continue; // no configuration of a run
    }
  }
  return std::nullopt;
}

std::string maker_of_data(const DatasetConfig& dataset, bool is_held_out) {
  if (dataset.type == DatasetKind::kPairs) {
    return "a file with a JSON object a line: a prompt's text and its answer";
  }
  return is_held_out ? "fcc-data tokenize TEXTS -o … --holdout " + *dataset.path
                     : "fcc-data tokenize TEXTS -o " + *dataset.path;
}

} // namespace

std::vector<MissingPath>
missing_paths(const RunConfig& config, const fs::path& recipes, bool has_checkpoint) {
  std::vector<MissingPath> missing;
  const auto look = [&](const std::string& key, const std::string& path, std::string maker) {
    const bool is_known = std::any_of(missing.begin(), missing.end(), [&](const MissingPath& each) {
      return each.path == path && each.maker == maker; // stages often share a file
    });
    if (!is_known && !fs::exists(path)) {
      missing.push_back({key, path, std::move(maker)});
    }
  };
  if (config.model.path && !has_checkpoint) {
    const std::optional<Recipe> recipe = recipe_of(*config.model.path, recipes);
    look(
        "model.path",
        *config.model.path,
        recipe ? "fcc-train " + recipe->file.string()
               : "a model's folder as Hugging Face has it: config.json, weights, tokenizer");
  }
  if (config.data.tokenizer.path) {
    look(
        "data.tokenizer.path",
        *config.data.tokenizer.path,
        config.data.tokenizer.type == TokenizerKind::kWords
            ? "fcc-data words"
            : "a tokenizer's file, or a model's folder with one");
  }
  const auto look_at_data =
      [&](const std::vector<DatasetConfig>& datasets, const std::string& key, bool is_held_out) {
        for (std::size_t i = 0; i < datasets.size(); ++i) {
          if (datasets[i].path) {
            look(
                key + "." + std::to_string(i) + ".path",
                *datasets[i].path,
                maker_of_data(datasets[i], is_held_out));
          }
        }
      };
  look_at_data(config.data.train, "data.train", false);
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    if (config.train.stages[i].data) {
      look_at_data(
          *config.train.stages[i].data, "train.stages." + std::to_string(i) + ".data", false);
    }
  }
  look_at_data(config.data.validation, "data.validation", true);
  return missing;
}

ModelConfig shape_of_missing_model(
    const ModelSection& section,
    const fs::path& recipes,
    const std::string& shape) {
  const fs::path path = fs::path(*section.path).lexically_normal();
  ModelSection shaped;
  shaped.fcc = section.fcc;
  std::string name =
      path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  const std::optional<Recipe> recipe = recipe_of(path, recipes);
  if (shape.empty() && recipe) {
    ModelConfig config = recipe->config.model.path && !fs::exists(*recipe->config.model.path)
                             ? shape_of_missing_model(recipe->config.model, recipes, shape)
                             : resolve_model_config(recipe->config.model);
    config.fcc = section.fcc ? section.fcc : config.fcc;
    return config;
  }
  shaped.preset = shape.empty() ? name : shape;
  try {
    return resolve_model_config(shaped);
  } catch (const ConfigError& error) {
    throw ConfigError(
        shape.empty() ? "model.path" : "--shape",
        shape.empty() ? "is not there, and its folder's name tells no shape to plan with"
                      : error.rule(),
        shape.empty() ? path.string() : shape,
        shape.empty() ? "name one of the presets: --shape llama-3.2-1b" : error.hint());
  }
}

} // namespace fcc::tools
