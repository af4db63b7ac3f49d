// fcc-data: from texts to token files, and a look into them.

#include <CLI/CLI.hpp>

#include "common/program.h"
#include "fcc_data/commands.h"

int main(int argc, char** argv) {
  CLI::App app{
      "Makes and inspects the data that fcc-train and fcc-eval read.\n\n"
      "  fcc-data tokenize corpus/ -o train.safetensors --tokenizer path/to/model\n"
      "  fcc-data inspect train.safetensors\n"};
  app.require_subcommand(1);
  std::function<int()> run;
  fcc::tools::add_tokenize(app, run);
  fcc::tools::add_inspect(app, run);
  fcc::tools::add_words(app, run);
  fcc::tools::add_passkey(app, run);
  return fcc::tools::run_program(app, argc, argv, [&run] { return run(); });
}
