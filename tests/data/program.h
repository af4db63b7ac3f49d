#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/places.h"

namespace fcc::test {

inline const std::string kProgram = build_dir() + "/bin/fcc-data";

struct Result {
  int exit_code = -1;
  std::string output; ///< standard output and error
};

inline Result run(const std::string& arguments) {
  Result result;
  FILE* pipe = ::popen((kProgram + " " + arguments + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    result.output.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

inline bool has(const Result& result, const std::string& text) {
  return result.output.find(text) != std::string::npos;
}

/// Starts the program by itself, so that it can be killed. What it says goes to `log`.
inline pid_t start(
    const std::vector<std::string>& arguments,
    const std::string& log = "/dev/null") {
  const pid_t child = ::fork();
  if (child == 0) {
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(file, 1);
    ::dup2(file, 2);
    std::vector<char*> argv{const_cast<char*>(kProgram.c_str())};
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    ::execv(kProgram.c_str(), argv.data());
    ::_exit(127);
  }
  return child;
}

} // namespace fcc::test
