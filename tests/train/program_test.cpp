#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fcc/config/write_config.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/train/run_directory.h"
#include "train/tiny_run.h"
#include "train/train_process.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

using Process = test::TrainProcess;
class Program : public test::TrainProgram {};

TEST_F(Program, ListsAllMistakesOfAConfigurationAndReturns2) {
  const std::string file = write("bad.json", R"({
  "output": "run",
  "model": {"preset": "table-1"},
  "data": {"tokenizer": {"type": "bytes"}, "train": [{"type": "passkey"}]},
  "train": {"batch_size": 0, "stages": [{"steps": "ten"}]},
  "optim": {"lrr": 0.1}
})")
                               .string();
  const Process process = start({"--config", file});
  EXPECT_EQ(process.wait(), 2);
  const std::string output = process.output();
  EXPECT_NE(output.find("train.batch_size"), std::string::npos) << output;
  EXPECT_NE(output.find("train.stages.0.steps"), std::string::npos) << output;
  EXPECT_NE(output.find("optim.lrr"), std::string::npos) << output;
}

TEST_F(Program, NamesAMissingTokenizerAndReturns2) {
  RunConfig config = tiny_run(folder_ / "run");
  config.data.tokenizer.path = (folder_ / "absent.txt").string();
  const Process process = start({"--config", config_file(config)});
  EXPECT_EQ(process.wait(), 2);
  EXPECT_NE(process.output().find("data.tokenizer.path: "), std::string::npos) << process.output();
  EXPECT_NE(process.output().find("absent.txt"), std::string::npos) << process.output();
}

TEST_F(Program, NamesTheKeyOfADatasetThatIsNoneBeforeAnythingElse) {
  const std::string text = write("texts.txt", "It was a dark and stormy night.").string();
  const auto refused = [&](const RunConfig& config, const std::string& key) {
    for (const std::vector<std::string>& more : {std::vector<std::string>{"--dry-run"}, {}}) {
      std::vector<std::string> arguments{"--config", config_file(config)};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const Process process = start(arguments);
      EXPECT_EQ(process.wait(), 1);
      const std::string output = process.output();
      EXPECT_TRUE(output.starts_with("fcc-train: error: " + key + ".path: " + text)) << output;
      EXPECT_NE(output.find("fcc-data tokenize"), std::string::npos) << output;
    }
  };
  DatasetConfig texts;
  texts.path = text;
  RunConfig config = tiny_run(folder_ / "run");
  config.data.train.push_back(texts);
  refused(config, "data.train.1");
  config = tiny_run(folder_ / "run");
  config.data.validation = {texts};
  refused(config, "data.validation.0");
  config = tiny_run(folder_ / "run");
  config.train.stages[1].data = {texts};
  config.train.stages[1].until.reset();
  refused(config, "train.stages.1.data.0");
}

TEST_F(Program, HintsAtTheModelInTheFolderOfARun) {
  RunConfig config = tiny_run(folder_ / "run");
  config.model.path = (folder_ / "other").string();
  config.model.config.reset();
  fs::create_directories(folder_ / "other/checkpoints/step-00000012");
  fs::create_directories(folder_ / "other/checkpoints/step-00000003");
  const auto output = [&] {
    const Process process = start({"--config", config_file(config), "--dry-run"});
    EXPECT_EQ(process.wait(), 2);
    return process.output();
  };
  write("other/config.json", write_config(config));
  write("other/metrics.jsonl", "");
  EXPECT_NE(output().find("has saved no model yet"), std::string::npos) << output();
  write("other/checkpoints/step-00000003/config.json", "{}");
  write("other/checkpoints/step-00000012/config.json", "{}");
  EXPECT_NE(output().find("model.path: "), std::string::npos) << output();
  EXPECT_NE(output().find("other/checkpoints/step-00000012)"), std::string::npos) << output();
  fs::create_directories(folder_ / "other/final");
  write("other/final/config.json", "{}");
  EXPECT_NE(output().find("(the model is in "), std::string::npos) << output();
  EXPECT_NE(output().find("other/final)"), std::string::npos) << output();
}

TEST_F(Program, RefusesAResetOfMemoryThatAPlainLlamaHasNot) {
  RunConfig config = tiny_run(folder_ / "run");
  config.model.config->fcc.reset();
  DatasetConfig documents;
  documents.type = DatasetKind::kDocuments;
  documents.path = (folder_ / "documents.safetensors").string();
  documents.document_memory = DocumentMemory::kReset;
  config.data.train = {documents};
  for (StageConfig& stage : config.train.stages) {
    stage.until.reset();
  }
  const Process process = start({"--config", config_file(config), "--dry-run"});
  EXPECT_EQ(process.wait(), 2);
  EXPECT_NE(process.output().find("data.train.0.document_memory"), std::string::npos)
      << process.output();
}

TEST_F(Program, KeepsTheReasonOfItsEndInTheLog) {
  RunConfig config = tiny_run(folder_ / "run");
  config.model.config->vocab_size = 20;
  const Process process = start({"--config", config_file(config)});
  EXPECT_EQ(process.wait(), 2);
  const std::string log = read_file(folder_ / "run" / "log.txt");
  EXPECT_NE(log.find(" E model: vocab_size"), std::string::npos) << log;
}

TEST_F(Program, RefusesSequencesWithoutTokens) {
  RunConfig config = tiny_run(folder_ / "run");
  config.train.stages[0].segments = IntDistribution::fixed(0);
  const Process process = start({"--config", config_file(config)});
  EXPECT_EQ(process.wait(), 2);
  EXPECT_NE(process.output().find("segments"), std::string::npos) << process.output();
  config.train.stages[0].segments = IntDistribution::fixed(1);
  config.model.config->fcc->segment_length = 0;
  const Process other = start({"--config", config_file(config)});
  EXPECT_EQ(other.wait(), 2);
  EXPECT_NE(other.output().find("segment_length"), std::string::npos) << other.output();
}

TEST_F(Program, ReturnsTwoOnBadUsageAndNoughtOnHelp) {
  EXPECT_EQ(start({}).wait(), 2);
  EXPECT_EQ(start({"--confg", "x"}).wait(), 2);
  const Process help = start({"--help"});
  EXPECT_EQ(help.wait(), 0);
  EXPECT_NE(help.output().find("--resume"), std::string::npos);
  EXPECT_EQ(start({(folder_ / "absent.json").string()}).wait(), 2); // as any absent path
}

TEST_F(Program, DryRunPrintsEstimatesAndWritesNothing) {
  const RunConfig config = tiny_run(folder_ / "run");
  const Process process = start({"--config", config_file(config), "--dry-run"});
  EXPECT_EQ(process.wait(), 0);
  const std::string output = process.output();
  EXPECT_NE(output.find("\"batch_size\": 3"), std::string::npos) << output;
  EXPECT_NE(output.find("parameters"), std::string::npos) << output;
  EXPECT_NE(output.find("\"execution\": \"reference\""), std::string::npos) << output;
  EXPECT_NE(output.find("optimizer: exp_avg_sq"), std::string::npos) << output;
  EXPECT_FALSE(fs::exists(config.output));
  EXPECT_NE(output.find("made as it is read"), std::string::npos) << output;
}

TEST_F(Program, DryRunTellsOfTheExecutionThatWillRun) {
  RunConfig config = tiny_run(folder_ / "run");
  config.engine.execution = Execution::kFused;
  const Process process = start({"--config", config_file(config), "--dry-run"});
  EXPECT_EQ(process.wait(), 0);
  const std::string output = process.output();
  EXPECT_NE(output.find("\"activations\": \"store\""), std::string::npos) << output;
  EXPECT_NE(output.find("gradient of the hidden grid"), std::string::npos) << output;
  EXPECT_NE(output.find("time"), std::string::npos) << output;
}

TEST_F(Program, RefusesKeysThatTheExecutionIgnores) {
  const Process process = start(
      {"--config",
       config_file(tiny_run(folder_ / "run")),
       "--set",
       "engine.execution=reference",
       "--set",
       "engine.chunk_segments=4"});
  EXPECT_EQ(process.wait(), 2);
  EXPECT_NE(process.output().find("engine.chunk_segments"), std::string::npos) << process.output();
}

TEST_F(Program, OverridesKeysByPath) {
  const Process process = start(
      {"--config",
       config_file(tiny_run(folder_ / "run")),
       "--dry-run",
       "--set",
       "optim.lr=0.125",
       "--set",
       "train.stages.1.steps=19"});
  EXPECT_EQ(process.wait(), 0);
  EXPECT_NE(process.output().find("\"lr\": 0.125"), std::string::npos) << process.output();
  EXPECT_NE(process.output().find("\"steps\": 19"), std::string::npos) << process.output();
}

TEST_F(Program, ReadsTheCommandLineAsPeopleTypeIt) {
  const std::string file = config_file(tiny_run(folder_ / "run"));
  const Process process = start(
      {file,
       "--dry-run",
       "--set",
       "optim.lr",
       "0.125",
       "--set",
       "train.stages[1].steps=19",
       "--set",
       "engine.dtype=fp32"});
  EXPECT_EQ(process.wait(), 0) << process.output();
  EXPECT_NE(process.output().find("\"lr\": 0.125"), std::string::npos) << process.output();
  EXPECT_NE(process.output().find("\"steps\": 19"), std::string::npos) << process.output();
  EXPECT_NE(process.output().find("\"dtype\": \"float32\""), std::string::npos);
  const Process version = start({"--version"});
  EXPECT_EQ(version.wait(), 0);
  EXPECT_TRUE(version.output().starts_with("fcc-train (libfcc) ")) << version.output();
  EXPECT_EQ(start({file, "--new-course"}).wait(), 2);
  EXPECT_EQ(start({file, "--for", "h100-80gb"}).wait(), 2) << "without --dry-run";
}

TEST_F(Program, DryRunNamesAllPathsThatAreNotThereAndGoesOn) {
  RunConfig maker = tiny_run(folder_ / "made");
  write("maker.json", write_config(maker));
  RunConfig config = tiny_run(folder_ / "run");
  config.model.path = (folder_ / "made/final").string();
  config.model.config.reset();
  DatasetConfig tokens;
  tokens.path = (folder_ / "absent.safetensors").string();
  config.data.train = {tokens};
  config.data.validation = {tokens};
  config.train.stages[1].data = {tokens};
  config.train.stages[1].until.reset();
  const std::string file = config_file(config);
  const Process process = start({file, "--dry-run"});
  EXPECT_EQ(process.wait(), 1);
  const std::string output = process.output();
  for (const char* part :
       {"model.path: ",
        "maker.json",
        "data.train.0.path: ",
        "fcc-data tokenize",
        "--holdout",
        "data.validation.0.path: ",
        "parameters",
        "total, about",
        "for all steps"}) {
    EXPECT_NE(output.find(part), std::string::npos) << part << "\n" << output;
  }
  EXPECT_EQ(output.find("train.stages.1.data.0.path: "), std::string::npos) << "named already";
  const Process planned = start({file, "--dry-run", "--for", "h100-80gb"});
  EXPECT_EQ(planned.wait(), 0) << planned.output();
  EXPECT_NE(planned.output().find("\"execution\": \"fused\""), std::string::npos);
  EXPECT_NE(planned.output().find("fits: "), std::string::npos) << planned.output();
  const Process unknown = start({file, "--dry-run", "--for", "h100-80g"});
  EXPECT_EQ(unknown.wait(), 2);
  EXPECT_NE(unknown.output().find("did you mean `h100-80gb`?"), std::string::npos);
}

TEST_F(Program, DryRunRefusesABudgetThatCannotBeMet) {
  RunConfig config = tiny_run(folder_ / "run");
  config.engine.execution = Execution::kFused;
  config.engine.memory_gib = 1e-6;
  const Process process = start({config_file(config), "--dry-run"});
  EXPECT_EQ(process.wait(), 2);
  EXPECT_NE(process.output().find("lower batch_size"), std::string::npos) << process.output();
}

TEST_F(Program, DryRunOfARunThatGoesOnTellsTheStepsThatAreLeft) {
  RunConfig config = tiny_run(folder_ / "run");
  config.train.stages[1].until.reset();
  config.train.stages.resize(1);
  EXPECT_EQ(start({config_file(config)}).wait(), 0);
  config.train.stages[0].steps += 9;
  const Process process =
      start({config_file(config), "--dry-run", "--resume", "auto", "--new-course"});
  EXPECT_EQ(process.wait(), 0) << process.output();
  EXPECT_NE(process.output().find("the 9 steps that are left"), std::string::npos);
}

} // namespace
} // namespace fcc
