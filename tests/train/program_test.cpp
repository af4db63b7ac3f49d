#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "fcc/config/write_config.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/train/run_directory.h"
#include "train/tiny_run.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

const char* const kProgram = FCC_BINARY_DIR "/bin/fcc-train";

/// One run of fcc-train with its output in a file.
class Process {
 public:
  Process(
      const fs::path& output,
      std::vector<std::string> arguments,
      const std::function<void()>& prepare = [] {})
      : output_(output) {
    arguments.insert(arguments.begin(), kProgram);
    std::vector<char*> raw;
    for (std::string& argument : arguments) {
      raw.push_back(argument.data());
    }
    raw.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      const int file = open(output_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      dup2(file, STDOUT_FILENO);
      dup2(file, STDERR_FILENO);
      prepare();
      execv(kProgram, raw.data());
      _exit(127);
    }
  }

  void send(int signal) const {
    kill(pid_, signal);
  }

  /// The exit code, or minus the signal that ended it.
  int wait() const {
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  std::string output() const {
    return read_file(output_);
  }

 private:
  fs::path output_;
  pid_t pid_ = -1;
};

class Program : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  std::string config_file(const RunConfig& config) const {
    return write("config.json", write_config(config)).string();
  }
  Process start(
      std::vector<std::string> arguments,
      const std::function<void()>& prepare = [] {}) const {
    return Process(folder_ / "output.txt", std::move(arguments), prepare);
  }
  RunConfig long_run() const {
    RunConfig config = tiny_run(folder_ / "run");
    config.train.stages[0].steps = 100000;
    config.checkpoint.every = 3;
    return config;
  }
  void wait_for_checkpoint(const RunConfig& config) const {
    const fs::path folder = fs::path(config.output) / "checkpoints";
    for (int i = 0; i < 6000; ++i) {
      if (fs::exists(folder) && !fs::is_empty(folder)) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << "no checkpoint after a minute";
  }

  TemporaryFolder folder_;
};

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

TEST_F(Program, SavesAndReturnsNoughtOnTheFirstSignal) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) {
    RunConfig config = long_run();
    config.output = (folder_ / std::to_string(signal)).string();
    config.checkpoint.keep_last = 1;
    const Process process = start({"--config", config_file(config)});
    wait_for_checkpoint(config);
    process.send(signal);
    EXPECT_EQ(process.wait(), 0) << process.output();
    EXPECT_NE(process.output().find("--resume auto"), std::string::npos) << process.output();
    const RunDirectory directory(config.output);
    ASSERT_EQ(directory.checkpoint_steps().size(), 1u);
    verify_manifest(directory.checkpoint(directory.checkpoint_steps()[0]));
  }
}

TEST_F(Program, TellsAStopFromTheEndByTheExitCodeThatWasAskedFor) {
  const RunConfig config = long_run();
  const Process process = start({"--config", config_file(config), "--interrupted-exit", "75"});
  wait_for_checkpoint(config);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait(), 75) << process.output();
  const Process bad = start({"--config", config_file(config), "--interrupted-exit", "256"});
  EXPECT_EQ(bad.wait(), 2) << bad.output();
}

TEST_F(Program, OutlivesTheReaderOfItsLog) {
  RunConfig config = tiny_run(folder_ / "run");
  const Process process = start({"--config", config_file(config)}, [] {
    int ends[2];
    if (pipe(ends) == 0) {
      close(ends[0]); // nobody reads
      dup2(ends[1], STDERR_FILENO);
    }
  });
  EXPECT_EQ(process.wait(), 0);
  EXPECT_TRUE(fs::exists(folder_ / "run/final/manifest.json"));
}

TEST_F(Program, KeepsItsFilesApartFromClosedStandardStreams) {
  RunConfig config = tiny_run(folder_ / "run");
  const Process process = start({"--config", config_file(config)}, [] {
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
  });
  EXPECT_EQ(process.wait(), 0);
  const std::string metrics = read_file(folder_ / "run/metrics.jsonl");
  EXPECT_EQ(metrics.find("{\"step\":1,"), 0U) << metrics.substr(0, 200);
}

TEST_F(Program, FailsWhereItsResultDoesNotFit) {
  const Process process =
      start({"--print-keys"}, [] { dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO); });
  EXPECT_EQ(process.wait(), 1) << process.output();
  EXPECT_NE(process.output().find("standard output"), std::string::npos) << process.output();
}

TEST_F(Program, SavesWhereASignalComesTwice) { // as from `timeout`
  const RunConfig config = long_run();
  const Process process = start({"--config", config_file(config)});
  wait_for_checkpoint(config);
  for (int i = 0; i < 3; ++i) {
    process.send(SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(1)); // or the kernel makes one of them
  }
  EXPECT_EQ(process.wait(), 0) << process.output();
}

TEST_F(Program, GoesOnAfterAKillAtAnyMoment) {
  RunConfig config = tiny_run(folder_ / "run");
  config.checkpoint = {.every = 1, .keep_last = 2};
  const std::string file = config_file(config);
  for (int i = 0; i < 10; ++i) {
    const Process process = start({"--config", file, "--resume", "auto"});
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + 37 * i));
    process.send(SIGKILL);
    process.wait();
    const Process again = start({"--config", file, "--resume", "auto", "--set", "log.every=7"});
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    again.send(SIGTERM);
    const int code = again.wait();
    // Before the program listens, SIGTERM ends it as it ends any process.
    EXPECT_TRUE(code == 0 || code == -SIGTERM) << again.output();
  }
  const Process last = start({"--config", file, "--resume", "auto"});
  EXPECT_EQ(last.wait(), 0) << last.output();
  RunConfig whole = config;
  whole.output = (folder_ / "whole").string();
  EXPECT_EQ(start({"--config", config_file(whole)}).wait(), 0);
  const std::string manifest = "checkpoints/step-00000030/manifest.json";
  EXPECT_EQ(
      read_file(fs::path(config.output) / manifest), read_file(fs::path(whole.output) / manifest));
}

TEST_F(Program, KeepsTheOldCheckpointWhereTheNewOneDoesNotFit) {
  RunConfig config = tiny_run(folder_ / "run");
  config.checkpoint.every = 10;
  config.train.stages[0].steps = 10;
  const std::string file = config_file(config);
  const Process first = start({"--config", file});
  ASSERT_EQ(first.wait(), 0) << first.output();
  fs::remove_all(fs::path(config.output) / "checkpoints" / "step-00000020");
  fs::remove_all(fs::path(config.output) / "checkpoints" / "step-00000027");
  // Files may not grow past 8 KiB: writing fails midway as on a full disk, with EFBIG for ENOSPC.
  const Process full = start({"--config", file, "--resume", "auto"}, [] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{8192, 8192};
    setrlimit(RLIMIT_FSIZE, &limit);
  });
  EXPECT_EQ(full.wait(), 1) << full.output();
  EXPECT_NE(full.output().find("error"), std::string::npos);
  {
    const RunDirectory directory(config.output);
    EXPECT_EQ(directory.checkpoint_steps(), (std::vector<std::int64_t>{10}));
    verify_manifest(directory.checkpoint(10));
  }
  const Process again = start({"--config", file, "--resume", "auto"});
  EXPECT_EQ(again.wait(), 0) << again.output();
}

TEST_F(Program, RefusesAnOutputThatIsInUse) {
  const RunConfig config = tiny_run(folder_ / "run");
  const RunDirectory other(config.output);
  const Process process = start({"--config", config_file(config)});
  EXPECT_EQ(process.wait(), 1);
  EXPECT_NE(process.output().find("another process"), std::string::npos) << process.output();
}

} // namespace
} // namespace fcc
