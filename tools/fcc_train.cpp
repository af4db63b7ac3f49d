// fcc-train: trains a model as a configuration file says.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "common/interrupt.h"
#include "common/program.h"
#include "common/torch/rank_environment.h"
#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/core/log.h"
#include "fcc/dist/rank_settings.h"
#include "fcc/io/files.h"
#include "fcc/train/card.h"
#include "fcc/train/resume.h"
#include "fcc/train/trainer.h"
#include "fcc_train/dry_run.h"
#include "fcc_train/train_as_rank.h"

namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  std::optional<std::string> resume;
  int interrupted_exit = 0;
  std::string card, shape;
  std::optional<std::int64_t> num_ranks;
  std::int64_t rank_timeout = 600;
  bool new_course = false;
  bool dry_run = false;

  fcc::Course course() const {
    return new_course ? fcc::Course::kNew : fcc::Course::kSame;
  }
  bool print_schema = false;
  bool print_keys = false;
};

constexpr const char* kExamples =
    "Examples:\n"
    "  fcc-train configs/quickstart.json\n"
    "  fcc-train configs/quickstart.json --dry-run\n"
    "  fcc-train configs/pretrain_3b.json --dry-run --for h100-80gb\n"
    "  fcc-train run.json --set optim.lr=1e-4 --set train.stages[0].steps=500\n"
    "  fcc-train run.json --resume auto\n"
    "  fcc-train run.json --resume auto --new-course --set optim.lr=1e-5\n"
    "\n"
    "The run directory (`output` in the configuration) then holds config.json, log.txt,\n"
    "metrics.jsonl, events/ (TensorBoard), checkpoints/ and, at the end, final/: the model, as\n"
    "fcc-eval, fcc-generate and (where the architecture allows) transformers read it.\n"
    "SIGTERM, SIGINT (Ctrl-C), SIGHUP (not under nohup), SIGUSR1 or SIGUSR2 ends the step, saves "
    "a\n"
    "checkpoint and exits with 0, or the code of --interrupted-exit; another one after a second\n"
    "ends at once. A reader of the log that goes away (| head) does not end the training.\n"
    "\n"
    "Several GPUs: one process each, started by torchrun, srun or mpirun, or with RANK,\n"
    "WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; they share the rows of each batch.\n"
    "\n"
    "Exit codes: 0 done, or stopped with a checkpoint (see --interrupted-exit), 1 a failure, 2 a "
    "wrong configuration or\n"
    "command line.";

/// Logs how the run ended, and returns the exit code.
int report_end(fcc::Trainer::End end, const fcc::RunConfig& config, const Arguments& arguments) {
  if (end == fcc::Trainer::End::kStopped) {
    fcc::log(
        fcc::LogLevel::kInfo,
        "stopped on a signal; the checkpoint is saved: go on with --resume auto");
    return arguments.interrupted_exit;
  }
  fcc::log(
      fcc::LogLevel::kInfo,
      "done: the model is in " + (fs::path(config.output) / "final").string());
  return 0;
}

int train(
    const fcc::RunConfig& config,
    const fcc::RunDirectory& directory,
    const Arguments& arguments) {
  const std::optional<fs::path> checkpoint = fcc::find_checkpoint(directory, arguments.resume);
  fcc::Trainer trainer(config, fcc::make_trainer_parts(config, checkpoint));
  return report_end(
      trainer.run(directory, checkpoint, fcc::tools::interrupted(), arguments.course()),
      config,
      arguments);
}

std::string card_names() {
  std::string names;
  for (const fcc::Card& card : fcc::cards()) {
    names += (names.empty() ? "" : ", ") + std::string(card.name);
  }
  return names;
}

/// Flags that do nothing without another one are a mistake.
void check_arguments(const Arguments& arguments) {
  if (arguments.config.empty()) {
    throw fcc::ConfigError("--config", "must name a configuration file", {}, "see --help");
  }
  if (arguments.new_course && !arguments.resume) {
    throw fcc::ConfigError("--new-course", "is for runs that go on: add --resume auto");
  }
  if (arguments.num_ranks && !arguments.dry_run) {
    throw fcc::ConfigError(
        "--ranks",
        "is for plans: add --dry-run",
        std::to_string(*arguments.num_ranks),
        "a run takes its ranks from torchrun, srun, mpirun or RANK and WORLD_SIZE");
  }
  for (const auto& [option, value] :
       {std::pair("--for", &arguments.card), std::pair("--shape", &arguments.shape)}) {
    if (!value->empty() && !arguments.dry_run) {
      throw fcc::ConfigError(option, "is for plans: add --dry-run", *value);
    }
  }
}

int train_or_plan(const Arguments& arguments) {
  auto settings = fcc::read_rank_settings(fcc::tools::environment_variable);
  const auto config = fcc::read_config<fcc::RunConfig>(
      fcc::read_file(arguments.config), arguments.config, arguments.overrides);
  if (arguments.dry_run) {
    return fcc::tools::dry_run(
        config,
        {.config = arguments.config,
         .resume = arguments.resume,
         .course = arguments.course(),
         .card = arguments.card,
         .shape = arguments.shape,
         .num_ranks = arguments.num_ranks.value_or(settings ? settings->size : 1)});
  }
  fcc::tools::outlive_readers();
  // Before data and weights are read: a signal in that time is no less a wish to stop and go on.
  fcc::tools::catch_interrupts(
      "stopping: the step ends, then a checkpoint is saved; a second signal ends at once "
      "without\n");
  if (config.model.path && fcc::is_same_path(config.output, *config.model.path)) {
    throw fcc::ConfigError(
        "output", "must not be model.path", config.output, "the model would be written over");
  }
  if (settings) {
    settings->timeout = std::chrono::seconds(arguments.rank_timeout);
    settings->silence = std::min(settings->silence, settings->timeout);
    return fcc::tools::train_as_rank(
        config,
        *settings,
        {.resume = arguments.resume, .course = arguments.course()},
        [&](fcc::Trainer::End end) { return report_end(end, config, arguments); });
  }
  const fcc::RunDirectory directory(config.output);
  fcc::log_to_file((directory.root() / "log.txt").c_str());
  try {
    return train(config, directory, arguments);
  } catch (const std::exception& error) {
    fcc::log_to_file_only(fcc::LogLevel::kError, error.what()); // standard error gets it from main
    throw;
  }
}

} // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  const std::vector<std::string> words = fcc::tools::with_joined_pairs(argc, argv, "--set");
  std::vector<const char*> joined;
  for (const std::string& word : words) {
    joined.push_back(word.c_str());
  }
  CLI::App app("Trains a model that carries its context from segment to segment.", "fcc-train");
  app.footer(kExamples);
  app.add_option("--config,config", arguments.config, "Configuration file (JSON)")
      ->type_name("FILE");
  app.add_option(
         "--set",
         arguments.overrides,
         "Override one key, by its path; may be repeated; `--set KEY VALUE` too")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option(
         "--resume",
         arguments.resume,
         "Go on with a run: `auto` takes its newest whole checkpoint (or starts, if there is none)")
      ->type_name("auto|CHECKPOINT");
  app.add_option(
         "--interrupted-exit",
         arguments.interrupted_exit,
         "Exit code of a run that a signal stopped and that saved its checkpoint (0), to tell it "
         "from the end of a run: fcc-train --interrupted-exit 75 … && fcc-eval …")
      ->check(fcc::tools::whole_number(0, 255))
      ->type_name("CODE");
  app.add_flag(
      "--new-course",
      arguments.new_course,
      "With --resume: take changed keys of optim, train, loss and engine (longer stages, another "
      "rate), and keep the optimizer's states; the change is noted in log and checkpoints");
  app.add_option(
         "--for",
         arguments.card,
         "With --dry-run: a card to plan for in place of this machine (" + card_names() + ")")
      ->type_name("CARD");
  app.add_option(
         "--shape",
         arguments.shape,
         "With --dry-run: the preset to plan with where model.path is not there")
      ->type_name("PRESET");
  app.add_option(
         "--ranks",
         arguments.num_ranks,
         "With --dry-run: the number of ranks (GPUs) that share the run; memory is then of each")
      ->check(fcc::tools::whole_number(1, 65536))
      ->type_name("N");
  app.add_option(
         "--rank-timeout",
         arguments.rank_timeout,
         "Of several ranks: seconds that one may wait for the others (600)")
      ->check(fcc::tools::whole_number(1, 86400))
      ->type_name("SECONDS");
  app.add_flag(
      "--dry-run",
      arguments.dry_run,
      "Print the resolved configuration, parameters, memory, tokens and time; write nothing");
  app.add_flag(
      "--print-schema", arguments.print_schema, "Print the JSON schema of configuration files");
  app.add_flag(
      "--print-keys", arguments.print_keys, "Print every key of a configuration with its meaning");
  return fcc::tools::run_program(app, static_cast<int>(joined.size()), joined.data(), [&] {
    if (arguments.print_keys) {
      fcc::tools::print_keys();
      return 0;
    }
    if (arguments.print_schema) {
      fcc::tools::print_schema();
      return 0;
    }
    check_arguments(arguments);
    return train_or_plan(arguments);
  });
}
