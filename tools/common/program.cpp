#include "common/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>

#include "fcc/core/error.h"

namespace fcc::tools {
namespace {

std::string name_of(int argc, const char* const* argv) {
  return argc > 0 ? std::filesystem::path(argv[0]).filename().string() : std::string("fcc");
}

/// Opens /dev/null for the standard streams that are closed, or the first files opened would take
/// their numbers and get what is meant for them. Standard output is opened so that a write to it
/// fails: a result must not vanish.
void open_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) < 0) {
      // The lowest free number is taken: this one, as those below are open by now.
      const int mode = stream == STDOUT_FILENO ? O_RDONLY : O_RDWR;
      [[maybe_unused]] const int opened = ::open("/dev/null", mode);
    }
  }
}

int report(const std::string& program, const char* message, int exit_code) {
  std::fflush(stdout); // so that the error comes last where both go to one place
  std::fprintf(stderr, "%s: error: %s\n", program.c_str(), message);
  return exit_code;
}

/// Torch's messages go on with advice to its own developers and a stack of addresses.
std::string without_stack(const std::string& message) {
  return message.find("\nException raised from") == std::string::npos
             ? message
             : message.substr(0, message.find('\n'));
}

/// Results that did not reach standard output (a full disk) are a failure, whatever `body`
/// returned.
int checked_output(const std::string& program, int exit_code) {
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  std::cout.flush();
  if (!failed && std::cout.good()) {
    return exit_code;
  }
  const std::string reason =
      errno != 0 ? std::generic_category().message(errno) : std::string("an earlier write failed");
  std::fprintf(
      stderr,
      "%s: error: standard output: must be writable; got %s\n",
      program.c_str(),
      reason.c_str());
  return exit_code == 0 ? 1 : exit_code;
}

} // namespace

int run_program(int argc, const char* const* argv, const std::function<int()>& body) {
  const std::string program = name_of(argc, argv);
  // A file that may not grow is an error of the write, with its cleaning up, not a sudden end.
  std::signal(SIGXFSZ, SIG_IGN);
  open_closed_streams();
  try {
    return checked_output(program, body());
  } catch (const ConfigError& error) {
    return report(program, error.what(), 2);
  } catch (const std::bad_alloc&) {
    return report(program, "out of memory", 1);
  } catch (const std::exception& error) {
    return report(program, without_stack(error.what()).c_str(), 1);
  }
}

int run_program(
    CLI::App& app,
    int argc,
    const char* const* argv,
    const std::function<int()>& body) {
  open_closed_streams();
  const std::string program = name_of(argc, argv);
  app.name(program);
  app.failure_message([&program](const CLI::App* root, const CLI::Error& error) {
    std::string command = program;
    for (const CLI::App* chosen : root->get_subcommands()) {
      command += ' ' + chosen->get_name();
    }
    return program + ": error: " + error.what() + " (see " + command + " --help)\n";
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return checked_output(program, app.exit(error) == 0 ? 0 : 2);
  }
  return run_program(argc, argv, body);
}

} // namespace fcc::tools
