// fcc-bench: measures training steps, memory and speed against full attention, and kernels.

#include <functional>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/program.h"
#include "fcc_bench/commands.h"

int main(int argc, char** argv) {
  using namespace fcc::tools;
  CLI::App app{
      "Measures libfcc on this machine: whole training steps, memory and speed against full "
      "attention, single kernels. `fcc-bench COMMAND --help` explains each command.",
      "fcc-bench"};
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, std::function<int()>>> commands;
  for (const auto& add :
       {add_train_command, add_memory_command, add_speed_command, add_kernels_command}) {
    std::function<int()> run = add(app);
    commands.emplace_back(app.get_subcommands({}).back(), std::move(run));
  }
  return run_program(app, argc, argv, [&] {
    for (const auto& [command, run] : commands) {
      if (command->parsed()) {
        return run();
      }
    }
    return 2; // a command is required: the parser has refused anything else
  });
}
