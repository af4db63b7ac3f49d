// fcc-eval: measures what a trained model remembers, predicts and attends to.

#include <cstdio>
#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/program.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc_eval/commands.h"

namespace fcc::tools {

void prepare_report(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure) {
      throw IoError(folder.string(), "must be a directory", failure.message());
    }
  }
  require_writable(path);
}

void write_report(const std::string& path, const std::string& content) {
  prepare_report(path);
  write_file_atomic(path, content);
  std::fprintf(stderr, "wrote %s\n", path.c_str());
}

} // namespace fcc::tools

int main(int argc, char** argv) {
  using namespace fcc::tools;
  CLI::App app{
      "Measures a model: what it recalls from segments it can no longer see, how well it predicts "
      "text, where it looks. `fcc-eval COMMAND --help` explains each command."};
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, std::function<int()>>> commands;
  for (const auto& add :
       {add_passkey_command,
        add_capacity_command,
        add_perplexity_command,
        add_attention_map_command,
        add_summarize_command,
        add_rouge_command,
        add_report_command}) {
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
