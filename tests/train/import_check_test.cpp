// What a run says of the pretrained model that it starts from.
#include "fcc/train/import_check.h"

#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/io/files.h"
#include "fcc/train/trainer.h"
#include "train/tiny_run.h"
#include "train/train_process.h"
#include "train/train_run.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

/// A run that starts from the model of another one.
class ImportCheck : public test::TrainProgram {
 protected:
  void SetUp() override {
    RunConfig first = tiny_run(folder_ / "first");
    first.train.stages.resize(1);
    first.train.stages[0].steps = 2;
    first.engine.dtype = ComputeDType::kFloat64;
    ASSERT_EQ(run(first), Trainer::End::kFinished);
    config_ = tiny_run(folder_ / "run");
    config_.engine.dtype = ComputeDType::kFloat64;
    config_.model.config.reset();
    config_.model.path = (folder_ / "first/final").string();
    config_.train.stages[0].segment_length = 11;
    config_.train.stages.resize(1);
    config_.train.stages[0].segments = IntDistribution::fixed(3);
  }
  void edit_model(const std::string& key, const nlohmann::json& value) const {
    const fs::path file = fs::path(*config_.model.path) / "config.json";
    auto json = nlohmann::json::parse(read_file(file));
    if (value.is_null()) {
      json.erase(key);
    } else {
      json[key] = value;
    }
    write_file_atomic(file, json.dump());
    fs::remove(fs::path(*config_.model.path) / "manifest.json");
  }
  static std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) {
      text += line + "\n";
    }
    return text;
  }
  ImportReport report() const {
    const TrainerParts parts = make_trainer_parts(config_);
    return check_import(*config_.model.path, parts.parameters->config(), parts.data);
  }

  RunConfig config_;
};

TEST_F(ImportCheck, FullAttentionIsTheLossOfTheLlamaThatWasImported) {
  TrainerParts parts = make_trainer_parts(config_);
  const FirstLosses losses = measure_first_losses(*parts.parameters, config_, parts.data);
  EXPECT_EQ(losses.segment_length, 11);
  EXPECT_EQ(losses.num_segments, 3);
  ASSERT_TRUE(losses.full_attention && losses.with_memory && losses.without_memory);
  EXPECT_NE(*losses.with_memory, *losses.without_memory);

  RunConfig plain = config_;
  edit_model("fcc", nullptr); // the same weights as a plain Llama
  TrainerParts llama = make_trainer_parts(plain);
  ASSERT_EQ(llama.parameters->config().arch(), Architecture::kLlama);
  const FirstLosses whole = measure_first_losses(*llama.parameters, plain, llama.data);
  EXPECT_NEAR(*losses.full_attention, *whole.full_attention, 1e-12);
  EXPECT_FALSE(whole.with_memory || whole.without_memory);
}

TEST_F(ImportCheck, MeasuringChangesNothing) {
  TrainerParts parts = make_trainer_parts(config_);
  const auto weights = parts.parameters->master().clone();
  const FirstLosses first = measure_first_losses(*parts.parameters, config_, parts.data);
  EXPECT_TRUE(parts.parameters->master().equal(weights));
  EXPECT_EQ(parts.parameters->config().fcc->segment_length, 14);
  EXPECT_EQ(parts.data.loaders[0].state().rows_drawn, 0);
  const FirstLosses again = measure_first_losses(*parts.parameters, config_, parts.data);
  EXPECT_EQ(first.with_memory, again.with_memory);
}

TEST_F(ImportCheck, BothExecutionsMeasureTheSame) {
  TrainerParts parts = make_trainer_parts(config_);
  const FirstLosses reference = measure_first_losses(*parts.parameters, config_, parts.data);
  config_.engine.execution = Execution::kFused;
  TrainerParts by_hand = make_trainer_parts(config_);
  config_.engine = by_hand.engine;
  const FirstLosses fused = measure_first_losses(*by_hand.parameters, config_, by_hand.data);
  EXPECT_NEAR(*fused.full_attention, *reference.full_attention, 1e-10);
  EXPECT_NEAR(*fused.with_memory, *reference.with_memory, 1e-10);
  EXPECT_NEAR(*fused.without_memory, *reference.without_memory, 1e-10);
}

TEST_F(ImportCheck, NamesWhatLlamasDefaultsStandInFor) {
  EXPECT_EQ(joined(report().facts).find("default"), std::string::npos);
  edit_model("rope_theta", nullptr);
  edit_model("rms_norm_eps", nullptr);
  const std::string facts = joined(report().facts);
  EXPECT_NE(facts.find("rope_theta 10000 (not in config.json"), std::string::npos) << facts;
  EXPECT_NE(facts.find("rms_norm_eps 1e-06 (not in config.json"), std::string::npos) << facts;
}

TEST_F(ImportCheck, WarnsWhereTheTokenizerSaysOtherwise) {
  edit_model("bos_token_id", nullptr);
  edit_model("eos_token_id", nullptr);
  EXPECT_EQ(joined(report().warnings), "");
  edit_model("bos_token_id", 60);
  const std::string warnings = joined(report().warnings);
  EXPECT_NE(warnings.find("bos_token_id is 60 in config.json"), std::string::npos) << warnings;
}

TEST_F(ImportCheck, StandsInTheFirstLinesOfANewRunAndOfNoOther) {
  config_.train.stages[0].steps = 3;
  const test::TrainProcess process = start({config_file(config_)});
  ASSERT_EQ(process.wait(), 0) << process.output();
  const std::string log = read_file(folder_ / "run/log.txt");
  const std::size_t losses = log.find("first row, 3 segments of 11 tokens: mean loss ");
  ASSERT_NE(losses, std::string::npos) << log;
  EXPECT_NE(log.find(" with full attention, "), std::string::npos) << log;
  EXPECT_NE(log.find("rope_theta"), std::string::npos) << log;
  EXPECT_LT(losses, log.find("step 1"));

  config_.train.stages[0].steps = 5;
  const test::TrainProcess resumed =
      start({config_file(config_), "--resume", "auto", "--new-course"});
  ASSERT_EQ(resumed.wait(), 0) << resumed.output();
  EXPECT_EQ(resumed.output().find("first row"), std::string::npos) << resumed.output();
}

} // namespace
} // namespace fcc
