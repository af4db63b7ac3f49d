#pragma once

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <exception>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fcc/dist/rank_settings.h"
#include "fcc/io/files.h"
#include "train/tiny_run.h"

namespace fcc {

/// A port of this machine that no one has at this moment.
inline std::uint16_t free_port() {
  const int socket_number = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(socket_number, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(socket_number, reinterpret_cast<sockaddr*>(&address), &size);
  close(socket_number);
  return ntohs(address.sin_port);
}

/// The ranks of a test, each a process. The test's own process never computes: a copy of one whose
/// threads are gone would hang.
class RankProcesses {
 public:
  /// What a rank does; its text is for the test, and so is that of what it throws.
  using Body = std::function<std::string(const RankSettings& settings)>;

  RankProcesses(std::int64_t size, const Body& body, RankSettings common = settings_for_tests()) {
    common.size = size;
    EXPECT_EQ(pipe(met_), 0);
    common.attempt = std::to_string(met_[1]); // any text will do, and this one reaches the body
    for (std::int64_t rank = 0; rank < size; ++rank) {
      const pid_t process = fork();
      if (process == 0) {
        RankSettings settings = common;
        settings.rank = settings.local_rank = rank;
        settings.hosts_store = rank == 0;
        run(rank, body, settings);
      }
      processes_.push_back(process);
    }
  }
  ~RankProcesses() {
    close(met_[0]);
    close(met_[1]);
    for (const pid_t process : processes_) {
      if (process > 0) {
        kill(process, SIGKILL);
        waitpid(process, nullptr, 0);
      }
    }
  }
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  static RankSettings settings_for_tests() {
    RankSettings settings;
    settings.address = "127.0.0.1";
    settings.port = free_port();
    settings.timeout = std::chrono::seconds(60);
    return settings;
  }

  void send(std::size_t rank, int signal) const {
    kill(processes_[rank], signal);
  }

  /// Waits until every rank has called `tell_met`.
  void wait_until_met() const {
    for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
      char byte = 0;
      ASSERT_EQ(read(met_[0], &byte, 1), 1);
    }
  }
  static void tell_met(const RankSettings& settings) {
    const int pipe_end = std::stoi(settings.attempt);
    ASSERT_EQ(write(pipe_end, "m", 1), 1);
  }

  /// Waits for a rank's end: its exit code, or minus the signal that ended it.
  int wait(std::size_t rank) {
    int status = 0;
    waitpid(processes_[rank], &status, 0);
    processes_[rank] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  std::string text(std::size_t rank) const {
    return read_file(file(static_cast<std::int64_t>(rank)));
  }

  /// Waits for all, which must succeed, and returns their texts.
  std::vector<std::string> texts() {
    std::vector<std::string> all;
    for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
      EXPECT_EQ(wait(rank), 0) << "rank " << rank << ": " << text(rank);
      all.push_back(text(rank));
    }
    return all;
  }

 private:
  [[noreturn]] void run(std::int64_t rank, const Body& body, const RankSettings& settings) const {
    int code = 0;
    std::string text;
    try {
      text = body(settings);
    } catch (const std::exception& error) {
      text = error.what();
      code = 1;
    }
    std::ofstream(file(rank)) << text;
    _exit(code);
  }

  std::filesystem::path file(std::int64_t rank) const {
    return folder_ / ("rank-" + std::to_string(rank));
  }

  int met_[2] = {-1, -1};
  TemporaryFolder folder_;
  std::vector<pid_t> processes_;
};

} // namespace fcc
