#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "common/torch/prefill.h"
#include "eval/pictures.h"
#include "fcc/core/error.h"
#include "fcc/data/task.h"
#include "fcc/eval/capacity_report.h"
#include "fcc/train/curriculum.h"
#include "fcc_eval/commands.h"
#include "fcc_eval/sweep_model.h"

namespace fcc::tools {
namespace {

struct Options {
  ModelOptions model;
  std::vector<std::int64_t> pairs{1, 2, 4, 8, 16, 32, 64};
  std::vector<std::int64_t> segments{1, 2, 4, 8, 16, 32};
  std::vector<std::int64_t> distances;
  TaskOptions task;
  std::optional<std::string> haystack;
  PasskeySweepOptions sweep;
  std::string output = "capacity";
};

void add_options(CLI::App& app, Options& options) {
  add_model_options(app, options.model);
  add_execution_option(app, options.model);
  app.add_option("-p,--pairs", options.pairs, "How many pairs of a name and a number are told")
      ->delimiter(',')
      ->capture_default_str()
      ->check(whole_number(1, 1024))
      ->group("Map");
  auto* segments =
      app.add_option("-s,--segments", options.segments, "Filler until the question, in segments")
          ->delimiter(',')
          ->capture_default_str()
          ->check(whole_number(1, kMaxSegments))
          ->group("Map");
  app.add_option("--distances", options.distances, "The same in tokens")
      ->delimiter(',')
      ->check(whole_number(0, std::int64_t{1} << 31))
      ->excludes(segments)
      ->group("Map");
  app.add_option("-n,--trials", options.sweep.trials, "Texts for each cell, one question each")
      ->capture_default_str()
      ->check(whole_number(1))
      ->group("Map");
  app.add_option("--batch-size", options.sweep.batch_size, "Texts that run at once, at most")
      ->capture_default_str()
      ->check(whole_number(1))
      ->group("Map");
  app.add_option("--seed", options.sweep.seed, "Equal seeds tell equal pairs")
      ->check(seed_number())
      ->capture_default_str()
      ->check(whole_number(0))
      ->group("Map");
  app.add_option("--digits", options.task.digits, "Digits of the numbers (default 4)")
      ->group("Map");
  app.add_option("--filler", options.task.filler, "Text that repeats")->group("Map");
  app.add_option(
         "--haystack", options.haystack, "Text to stand in, in place of a repeated filler: a file")
      ->type_name("FILE")
      ->group("Map");
  app.add_option(
         "-o,--output",
         options.output,
         "Directory for cells-PAIRS.jsonl, capacity.json and heatmap.svg; the same command goes on "
         "where it was killed")
      ->capture_default_str()
      ->type_name("DIR")
      ->group("Output");
}

int run(Options options) {
  Prefill prefill(options.model);
  const LoadedModel& model = prefill.model();
  const ModelConfig& config = model.config();
  const std::int64_t L = config.arch() == Architecture::kLlama ? 0 : config.fcc->segment_length;
  PasskeySweepOptions& sweep = options.sweep;
  sweep.lengths_tokens = options.distances;
  if (options.distances.empty()) {
    if (L == 0) {
      throw ConfigError("--distances", "must be given: a plain Llama has no segments");
    }
    for (const std::int64_t segments : options.segments) {
      sweep.lengths_tokens.push_back(segments * L);
    }
  }
  sweep.depths = {0.0};
  TaskConfig task = task_config("capacity", options.task);
  task.length_is_distance = true;
  if (options.haystack) {
    stand_in_text(task, *options.haystack, *model.tokenizer);
  }
  std::vector<CapacityRow> rows;
  for (const std::int64_t pairs : options.pairs) {
    task.keys = pairs;
    const auto made = make_task(task, model.tokenizer, model.tokenizer_policy.begins_with_bos());
    sweep.log = options.output + "/cells-" + std::to_string(pairs) + ".jsonl";
    sweep.identity = identity_of(model);
    sweep.identity.merge(made->identity());
    std::fprintf(stderr, "%lld pairs\n", static_cast<long long>(pairs));
    rows.push_back({pairs, run_passkey_sweep(sweep, *made, answers_of(prefill), show_cell)});
  }
  sweep.identity.erase("keys");
  const PasskeyReportOptions report{
      .model = model_name(options.model), .task = "capacity", .segment_length = L};
  std::fputs(table_text(capacity_table(rows, report)).c_str(), stdout);
  write_report(options.output + "/capacity.json", capacity_json(rows, sweep, report));
  write_report(options.output + "/heatmap.svg", heat_map_svg(capacity_heat_map(rows, report)));
  return 0;
}

} // namespace

std::function<int()> add_capacity_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "capacity",
      "Tells many pairs of a name and a number at once and asks for one after so much filler: how "
      "many pairs a memory holds, by distance (exact match, greedily)");
  const auto options = std::make_shared<Options>();
  add_options(*command, *options);
  return [options] { return run(*options); };
}

} // namespace fcc::tools
