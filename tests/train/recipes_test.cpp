// Every recipe in configs/ fits the card that it is for, by the project's own estimate.

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/train/estimate.h"
#include "fcc/train/trainer.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(source_dir()) / "configs";

/// The recipe with the shape of the model that it starts from, which is not at hand.
RunConfig recipe(const std::string& name) {
  auto config = read_config<RunConfig>(read_file(kFolder / name), name);
  if (config.model.path) {
    const bool is_3b = name.starts_with("summarize") || name.starts_with("pretrain_3b");
    config.model.preset = is_3b ? "llama-3.2-3b" : "llama-3.2-1b";
    config.model.path.reset();
  }
  return config;
}

TEST(Recipes, FitACardWith80GigabytesByTheEstimate) {
  const Card& card = card_by_name("h100-80gb");
  std::size_t num_recipes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder)) {
    if (entry.path().extension() != ".json") {
      continue;
    }
    ++num_recipes;
    const std::string name = entry.path().lexically_relative(kFolder).string();
    if (name == "adapt/smollm2_135m.json") {
      continue; // of a shape that is no preset
    }
    RunConfig config = recipe(name);
    const ModelConfig model = resolve_model_config(config.model);
    try {
      config.engine = plan_run_engine(config, model, card);
    } catch (const Error& error) {
      ADD_FAILURE() << name << ": " << error.what();
      continue;
    }
    const RunEstimate estimate = estimate_run(config, model, card.processor);
    EXPECT_LE(estimate.memory.total_bytes(), card.planned_bytes()) << name;
  }
  EXPECT_GE(num_recipes, 11U);
}

TEST(Recipes, AreRefusedByACardThatIsTooSmall) {
  const RunConfig config = recipe("pretrain_3b.json");
  const ModelConfig model = resolve_model_config(config.model);
  EXPECT_THROW(plan_run_engine(config, model, card_by_name("a100-40gb")), ConfigError);
  EXPECT_THROW(card_by_name("h100-80g"), ConfigError);
}

} // namespace
} // namespace fcc
