#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace fcc::tools {

/// Runs `body` as the program's whole work and returns the exit code: what `body` returns; 2 for a
/// `ConfigError` or a path that is not there; 1 for any other error, after one line `PROGRAM:
/// error: …` on standard error, and for results that did not reach standard output. Standard
/// streams that are closed are opened on /dev/null first.
int run_program(int argc, const char* const* argv, const std::function<int()>& body);

/// The same after the command line was read into `app`; `--help` and `--version`, which every
/// program has, print and return 0; bad usage prints its reason and returns 2, a command that there
/// is not with the one that was meant.
int run_program(CLI::App& app, int argc, const char* const* argv, const std::function<int()>& body);

/// The command line with `OPTION KEY VALUE` as `OPTION KEY=VALUE`, for an option that takes pairs:
/// both ways of typing one are common.
std::vector<std::string>
with_joined_pairs(int argc, const char* const* argv, const std::string& option);

} // namespace fcc::tools
