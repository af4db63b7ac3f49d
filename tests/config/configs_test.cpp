// Every recipe in configs/ is read as fcc-train reads it.

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "fcc/config/run_config.h"
#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/io/files.h"
#include "fcc/model/parameters.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(source_dir()) / "configs";

RunConfig recipe(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return read_config<RunConfig>(read_file(kFolder / name), name, overrides);
}

std::vector<std::string> recipes() {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder)) {
    if (entry.path().extension() == ".json") {
      names.push_back(entry.path().lexically_relative(kFolder).string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Configs, EveryRecipeIsReadStrictlyAndSaysWhatItIs) {
  const std::string readme = read_file(kFolder / "README.md");
  EXPECT_GE(recipes().size(), 11U);
  for (const std::string& name : recipes()) {
    EXPECT_NO_THROW(recipe(name)) << name;
    const std::string text = read_file(kFolder / name);
    EXPECT_NE(text.find("\"comment\""), std::string::npos) << name;
    EXPECT_NE(readme.find("`" + name + "`"), std::string::npos) << name;
  }
}

TEST(Configs, TheMemoriesAreComparedByOneRecipeAndNearlyAsManyParameters) {
  const auto read = [](const std::string& name) { return recipe("memories/" + name + ".json"); };
  const RunConfig fcc = read("fcc");
  const std::int64_t segment_length = fcc.model.config->fcc->segment_length;
  const auto parameters = static_cast<double>(count_parameters(*fcc.model.config));
  for (const char* name :
       {"ernie_doc", "transformer_xl", "rmt", "infini_attention", "titans_mag", "llama"}) {
    RunConfig other = read(name);
    EXPECT_NEAR(static_cast<double>(count_parameters(*other.model.config)) / parameters, 1.0, 0.02)
        << name;
    if (other.model.config->fcc) {
      EXPECT_EQ(other.model.config->fcc->segment_length, segment_length) << name;
    } else { // the rows of a plain Llama are as long, but nothing can be read before them
      StageConfig &first = other.train.stages.front(), &last = other.train.stages.back();
      EXPECT_EQ(first.segment_length, segment_length) << name;
      first.segment_length.reset();
      EXPECT_EQ(last.prefix_segments.max(), 0) << name;
      last.prefix_segments = fcc.train.stages.back().prefix_segments;
      last.name = fcc.train.stages.back().name;
    }
    other.model.config->fcc = fcc.model.config->fcc;
    other.output = fcc.output;
    EXPECT_EQ(json_text(config_to_json(other)), json_text(config_to_json(fcc))) << name;
  }
}

TEST(Configs, ThePapersRunsHaveItsGlobalBatchAndLengths) {
  struct Row {
    const char* name;
    std::vector<std::int64_t> steps, lengths_tokens;
    double lr, final_lr;
  };
  const std::vector<Row> table = {
      {"pretrain.json", {6491}, {4096}, 6e-5, 2e-5},
      {"passkey.json", {500, 300, 1000, 1000}, {2048, 4096, 8192, 16384}, 6e-5, 6e-6},
      {"pretrain_3b.json", {9426}, {5120}, 6e-5, 6e-6},
      {"summarize_3k.json", {3700}, {3072}, 6e-6, 6e-7},
      {"summarize_5k5.json", {3855}, {5632}, 6e-6, 6e-7},
      {"summarize_llama_3k.json", {112}, {3072}, 6e-6, 6e-7}};
  for (const Row& row : table) {
    const RunConfig config = recipe(row.name);
    ASSERT_EQ(config.train.stages.size(), row.steps.size()) << row.name;
    for (std::size_t i = 0; i < row.steps.size(); ++i) {
      const StageConfig& stage = config.train.stages[i];
      const std::int64_t segment_length = config.model.fcc.value_or(FccConfig{}).segment_length;
      EXPECT_EQ(stage.steps, row.steps[i]) << row.name;
      EXPECT_EQ(stage.segments.max() * segment_length, row.lengths_tokens[i]) << row.name;
      EXPECT_EQ(
          stage.batch_size.value_or(config.train.batch_size) *
              stage.accumulate.value_or(config.train.accumulate),
          64)
          << row.name;
    }
    const bool falls = config.optim.schedule != LrSchedule::kConstant;
    EXPECT_DOUBLE_EQ(config.optim.lr, row.lr) << row.name;
    EXPECT_NEAR(
        falls ? config.optim.lr * config.optim.final_lr_ratio : config.optim.lr, row.final_lr, 1e-9)
        << row.name;
    EXPECT_EQ(config.engine.dtype, ComputeDType::kBFloat16) << row.name;
    EXPECT_EQ(config.engine.execution, Execution::kFused) << row.name;
  }
}

TEST(Configs, TheBaselineOfTable1IsOneKeyAway) {
  EXPECT_EQ(recipe("table1_memory_speed.json").model.fcc->segment_length, 256);
  const RunConfig llama = recipe("table1_memory_speed.json", {"model.fcc=null"});
  EXPECT_FALSE(llama.model.fcc.has_value());
}

TEST(Configs, TheAdaptationSees4096TokensASegmentInEveryStepAndWeighsAnswersByTheRow) {
  for (const char* name : {"adapt/smollm2_135m.json", "adapt/llama_3_2_1b.json"}) {
    const RunConfig config = recipe(name);
    for (const StageConfig& stage : config.train.stages) {
      EXPECT_EQ(*stage.segment_length * *stage.batch_size * config.train.accumulate, 4096) << name;
      ASSERT_EQ(stage.data->size(), 3U) << name;
      const DatasetConfig& recall = (*stage.data)[0];
      EXPECT_EQ(recall.type, DatasetKind::kRecall) << name;
      // Behind a prefix the share is that of half the longest row: the mean row's.
      const double share = stage.prefix_segments.max() > 0 ? 0.5 : 1.0;
      const auto row = static_cast<double>(stage.segments.max() * *stage.segment_length);
      EXPECT_NEAR(recall.answer_weight, std::max(4.0, 0.03 * share * row), 0.06) << stage.name;
    }
    EXPECT_EQ(config.train.stages.back().segment_length, config.model.fcc->segment_length) << name;
  }
}

TEST(Configs, TheRunOfTheTrainingPageSeesWhatItsCommentSays) {
  const RunConfig config = recipe("one_gpu.json");
  double tokens = 0;
  for (const StageConfig& stage : config.train.stages) {
    const double rows = static_cast<double>(config.train.batch_size * config.train.accumulate);
    tokens += static_cast<double>(stage.steps) * rows * stage.segments.mean() *
              static_cast<double>(config.model.config->fcc->segment_length);
  }
  EXPECT_EQ(config.train.batch_size * config.train.accumulate, 32);
  EXPECT_NEAR(tokens, 2.7e9, 0.05e9);
}

} // namespace
} // namespace fcc
