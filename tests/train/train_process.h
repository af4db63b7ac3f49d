#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fcc/config/write_config.h"
#include "fcc/io/files.h"
#include "support/places.h"
#include "train/tiny_run.h"

namespace fcc::test {

inline const std::string kTrainProgram = build_dir() + "/bin/fcc-train";

/// One run of fcc-train with its output in a file.
class TrainProcess {
 public:
  TrainProcess(
      const std::filesystem::path& output,
      std::vector<std::string> arguments,
      const std::function<void()>& prepare = [] {})
      : output_(output) {
    arguments.insert(arguments.begin(), kTrainProgram);
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
      execv(kTrainProgram.c_str(), raw.data());
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
  std::filesystem::path output_;
  pid_t pid_ = -1;
};

/// Runs fcc-train in a folder of its own.
class TrainProgram : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  std::string config_file(const RunConfig& config) const {
    return write("config.json", write_config(config)).string();
  }
  TrainProcess start(
      std::vector<std::string> arguments,
      const std::function<void()>& prepare = [] {}) const {
    return TrainProcess(folder_ / "output.txt", std::move(arguments), prepare);
  }
  RunConfig long_run() const {
    RunConfig config = tiny_run(folder_ / "run");
    config.train.stages[0].steps = 100000;
    config.checkpoint.every = 3;
    return config;
  }
  void wait_for_checkpoint(const RunConfig& config) const {
    const std::filesystem::path folder = std::filesystem::path(config.output) / "checkpoints";
    for (int i = 0; i < 6000; ++i) {
      if (std::filesystem::exists(folder) && !std::filesystem::is_empty(folder)) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << "no checkpoint after a minute";
  }

  TemporaryFolder folder_;
};

} // namespace fcc::test
