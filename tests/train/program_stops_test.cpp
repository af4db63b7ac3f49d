#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

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
class ProgramThatStops : public test::TrainProgram {};

TEST_F(ProgramThatStops, SavesAndReturnsNoughtOnTheFirstSignal) {
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

TEST_F(ProgramThatStops, TellsAStopFromTheEndByTheExitCodeThatWasAskedFor) {
  const RunConfig config = long_run();
  const Process process = start({"--config", config_file(config), "--interrupted-exit", "75"});
  wait_for_checkpoint(config);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait(), 75) << process.output();
  const Process bad = start({"--config", config_file(config), "--interrupted-exit", "256"});
  EXPECT_EQ(bad.wait(), 2) << bad.output();
}

TEST_F(ProgramThatStops, OutlivesTheReaderOfItsLog) {
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

TEST_F(ProgramThatStops, KeepsItsFilesApartFromClosedStandardStreams) {
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

TEST_F(ProgramThatStops, FailsWhereItsResultDoesNotFit) {
  const Process process =
      start({"--print-keys"}, [] { dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO); });
  EXPECT_EQ(process.wait(), 1) << process.output();
  EXPECT_NE(process.output().find("standard output"), std::string::npos) << process.output();
}

TEST_F(ProgramThatStops, SavesWhereASignalComesTwice) { // as from `timeout`
  const RunConfig config = long_run();
  const Process process = start({"--config", config_file(config)});
  wait_for_checkpoint(config);
  for (int i = 0; i < 3; ++i) {
    process.send(SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(1)); // or the kernel makes one of them
  }
  EXPECT_EQ(process.wait(), 0) << process.output();
}

TEST_F(ProgramThatStops, GoesOnAfterAKillAtAnyMoment) {
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

TEST_F(ProgramThatStops, KeepsTheOldCheckpointWhereTheNewOneDoesNotFit) {
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

TEST_F(ProgramThatStops, RefusesAnOutputThatIsInUse) {
  const RunConfig config = tiny_run(folder_ / "run");
  const RunDirectory other(config.output);
  const Process process = start({"--config", config_file(config)});
  EXPECT_EQ(process.wait(), 1);
  EXPECT_NE(process.output().find("another process"), std::string::npos) << process.output();
}

} // namespace
} // namespace fcc
