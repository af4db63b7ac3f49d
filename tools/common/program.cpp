#include "common/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>

#include "fcc/core/error.h"
#include "fcc/core/nearest.h"
#include "fcc/version.h"

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

std::string version_text(const std::string& program) {
  return program + " (libfcc) " + version() + ", " FCC_BUILD_KIND;
}

/// What is wrong with a first word that is no command; empty: nothing.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  const std::string word = argc > 1 ? argv[1] : "";
  std::vector<std::string> names;
  bool is_known = false;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
    is_known = is_known || command->check_name(word); // aliases too
  }
  if (names.empty() || word.empty() || word.starts_with('-') || is_known) {
    return "";
  }
  std::string list;
  for (const std::string& name : names) {
    list += (list.empty() ? "" : ", ") + name;
  }
  const std::string hint = nearest_hint(word, names);
  return "no such command `" + word + "`: " + (hint.empty() ? "there are " + list : hint);
}

} // namespace

std::vector<std::string>
with_joined_pairs(int argc, const char* const* argv, const std::string& option) {
  std::vector<std::string> words(argv, argv + argc);
  for (std::size_t i = 1; i + 2 < words.size() && words[i] != "--"; ++i) {
    const std::string& key = words[i + 1];
    const std::string& value = words[i + 2];
    if (words[i] == option && key.find('=') == std::string::npos && !key.starts_with('-') &&
        !value.starts_with("--")) {
      words[i + 1] += '=' + value;
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    }
  }
  return words;
}

int run_program(int argc, const char* const* argv, const std::function<int()>& body) {
  const std::string program = name_of(argc, argv);
  // A file that may not grow is an error of the write, with its cleaning up, not a sudden end.
  std::signal(SIGXFSZ, SIG_IGN);
  open_closed_streams();
  try {
    return checked_output(program, body());
  } catch (const ConfigError& error) {
    return report(program, error.what(), 2);
  } catch (const IoError& error) {
    // A path that is not there was named wrong, whichever reader finds out.
    const bool is_absent = error.value().find(std::strerror(ENOENT)) != std::string::npos;
    return report(program, error.what(), is_absent ? 2 : 1);
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
  app.set_version_flag("--version", version_text(program));
  if (const std::string unknown = unknown_command(app, argc, argv); !unknown.empty()) {
    return report(program, (unknown + " (see " + program + " --help)").c_str(), 2);
  }
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
