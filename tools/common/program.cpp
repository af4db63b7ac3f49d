#include "common/program.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>

#include "fcc/core/error.h"

namespace fcc::tools {
namespace {

std::string name_of(int argc, const char* const* argv) {
  return argc > 0 ? std::filesystem::path(argv[0]).filename().string() : std::string("fcc");
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

} // namespace

int run_program(int argc, const char* const* argv, const std::function<int()>& body) {
  const std::string program = name_of(argc, argv);
  // A file that may not grow is an error of the write, with its cleaning up, not a sudden end.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return body();
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
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run_program(argc, argv, body);
}

} // namespace fcc::tools
