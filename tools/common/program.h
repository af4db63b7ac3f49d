#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace fcc::tools {

/// Runs `body` as the program's whole work and returns the exit code: what `body` returns; 2 for a
/// `ConfigError`; 1 for any other error, after one line `PROGRAM: error: …` on standard error, and
/// for results that did not reach standard output. Standard streams that are closed are opened on
/// /dev/null first.
int run_program(int argc, const char* const* argv, const std::function<int()>& body);

/// The same after the command line was read into `app`; `--help` and `--version` print and return
/// 0, bad usage prints its reason and returns 2.
int run_program(CLI::App& app, int argc, const char* const* argv, const std::function<int()>& body);

} // namespace fcc::tools
