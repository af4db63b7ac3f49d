// fcc-convert: checks, prints and converts model directories.

#include <CLI/CLI.hpp>

#include "common/program.h"
#include "fcc_convert/commands.h"

int main(int argc, char** argv) {
  CLI::App app{
      "Checks, prints and converts models in Hugging Face directories.\n\n"
      "  fcc-convert check models/Llama-3.2-1B\n"
      "  fcc-convert convert models/Llama-3.2-1B models/fcc-1b --fcc '{\"segment_length\": 512}'\n"
      "  fcc-convert convert runs/pretrain/final out --fcc none --dtype bfloat16 --max-shard 2GB\n",
      "fcc-convert"};
  app.require_subcommand(1);
  std::function<int()> run;
  fcc::tools::add_check(app, run);
  fcc::tools::add_print(app, run);
  fcc::tools::add_convert(app, run);
  return fcc::tools::run_program(app, argc, argv, [&run] { return run(); });
}
