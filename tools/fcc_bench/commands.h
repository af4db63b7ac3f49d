#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace fcc::tools {

/// Each adds its subcommand to `app` and returns what to do when it was chosen (the exit code). The
/// returned function owns the options that the command line was read into.
std::function<int()> add_train_command(CLI::App& app);
std::function<int()> add_memory_command(CLI::App& app);
std::function<int()> add_speed_command(CLI::App& app);
std::function<int()> add_kernels_command(CLI::App& app);

} // namespace fcc::tools
