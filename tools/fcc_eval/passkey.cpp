#include <algorithm>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "common/torch/prefill.h"
#include "eval/pictures.h"
#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/data/task.h"
#include "fcc/eval/passkey_sweep.h"
#include "fcc/io/files.h"
#include "fcc/train/curriculum.h"
#include "fcc_eval/commands.h"
#include "fcc_eval/sweep_model.h"

namespace fcc::tools {
namespace {

struct Options {
  ModelOptions model;
  std::vector<std::int64_t> segments{2, 4, 8, 16, 32, 64, 128};
  std::vector<std::int64_t> lengths;
  std::vector<double> depths{0.0, 0.25, 0.5, 0.75, 1.0};
  PasskeySweepOptions sweep;
  std::int64_t trained_segments = 0;
  std::string output = "passkey", config_file;
  std::optional<std::string> task, haystack;
  TaskOptions task_options;
};

void add_options(CLI::App& app, Options& options) {
  add_model_options(app, options.model);
  add_execution_option(app, options.model);
  auto* segments =
      app.add_option("-s,--segments", options.segments, "Lengths of the text, in segments")
          ->delimiter(',')
          ->capture_default_str()
          ->check(whole_number(1, kMaxSegments))
          ->group("Sweep");
  app.add_option("--lengths", options.lengths, "Lengths of the text, in tokens")
      ->delimiter(',')
      ->check(whole_number(1, std::numeric_limits<std::int32_t>::max()))
      ->excludes(segments)
      ->group("Sweep");
  app.add_option(
         "--spread",
         options.sweep.spread_tokens,
         "Draw each text's length uniformly from length ± this many tokens, whole segments passed "
         "over: recall at any place of a segment")
      ->capture_default_str()
      ->check(whole_number(0, std::numeric_limits<std::int32_t>::max()))
      ->group("Sweep");
  app.add_option(
         "-d,--depths",
         options.depths,
         "Where the passkey stands: 0 is the start of the text, 1 its end")
      ->delimiter(',')
      ->capture_default_str()
      ->group("Sweep");
  app.add_option("-n,--trials", options.sweep.trials, "Texts for each length and depth")
      ->capture_default_str()
      ->check(whole_number(1))
      ->group("Sweep");
  app.add_option("--batch-size", options.sweep.batch_size, "Texts that run at once, at most")
      ->capture_default_str()
      ->check(whole_number(1))
      ->group("Sweep");
  app.add_option("--seed", options.sweep.seed, "Equal seeds hide equal keys")
      ->check(seed_number())
      ->capture_default_str()
      ->check(whole_number(0))
      ->group("Sweep");
  app.add_option(
         "--config",
         options.config_file,
         "Take the task, its texts and options from the first dataset of type passkey or task in "
         "this run's config.json")
      ->type_name("FILE")
      ->group("Task");
  app.add_option(
         "--task",
         options.task,
         "passkey (the paper's), needle (in any wording), variables (assignments to follow), "
         "RULER's single-1, single-2, single-3, multi-key, multi-value, multi-query, qa1 to qa5 "
         "(stories whose facts are scattered), capacity (pairs told at one place), copy (a passage "
         "word by word); default: needle where an option of needles is given, else passkey")
      ->type_name("NAME")
      ->group("Task");
  app.add_option_function<std::string>(
         "--values",
         [&options](const std::string& name) {
           for (const auto& [known, value] : EnumNames<NeedleValue>::value) {
             if (name == known) {
               options.task_options.values = value;
             }
           }
         },
         "What needles hide: digits, words or uuid")
      ->check(CLI::IsMember({"digits", "words", "uuid"}))
      ->group("Task");
  app.add_option(
         "--keys", options.task_options.keys, "Needles of different names (variables: chains)")
      ->group("Task");
  app.add_option("--asked", options.task_options.asked, "How many of the names are asked for")
      ->group("Task");
  app.add_option("--facts", options.task_options.facts, "qa1 to qa5: sentences of the story")
      ->group("Task");
  app.add_option("--words", options.task_options.words, "copy: words of the passage")
      ->group("Task");
  app.add_option("--values-per-key", options.task_options.values_per_key, "Needles of each name")
      ->group("Task");
  app.add_option("--hops", options.task_options.hops, "variables: assignments after the first")
      ->group("Task");
  std::string wordings;
  for (const std::string& name : needle_template_names()) {
    wordings += name + ", ";
  }
  app.add_option(
         "--template",
         options.task_options.wording,
         "Wording of needles: " + wordings +
             "or a JSON file with `needle`, `question`, `questions`")
      ->type_name("NAME|FILE")
      ->group("Task");
  app.add_option(
         "--haystack",
         options.haystack,
         "Needles stand in this text (a token file or plain text) in place of a repeated filler")
      ->type_name("FILE")
      ->group("Task");
  app.add_option(
         "--digits", options.task_options.digits, "Digits of the values (passkey 4, needles 7)")
      ->group("Task");
  app.add_option("--intro", options.task_options.intro, "Text at the start")->group("Task");
  app.add_option("--filler", options.task_options.filler, "Text that repeats")->group("Task");
  app.add_option("--needle", options.task_options.needle, "Text that tells the key, as {key}")
      ->group("Task");
  app.add_option("--question", options.task_options.question, "Text before the answer")
      ->group("Task");
  app.add_option(
         "-o,--output",
         options.output,
         "Directory for cells.jsonl, passkey.json, passkey.csv and heatmap.svg; the same command "
         "goes on where it was killed")
      ->capture_default_str()
      ->type_name("DIR")
      ->group("Output");
  app.add_option(
         "--trained-segments",
         options.trained_segments,
         "Mark this length in the picture (default: from --config)")
      ->check(whole_number(0))
      ->group("Output");
}

// What a run's configuration tells of the task.
struct TrainedTask {
  DatasetConfig dataset;   ///< of type passkey or task
  std::int64_t tokens = 0; ///< the most that gradients went through
};

// `length` is the model's tokens a segment, where stages have none of their own.
TrainedTask task_of_run(const std::string& config_file, std::int64_t length) {
  const RunConfig run = read_config<RunConfig>(read_file(config_file), config_file);
  TrainedTask task;
  std::vector<DatasetConfig> all = run.data.train;
  for (std::size_t i = 0; i < run.train.stages.size(); ++i) {
    const StageConfig& stage = run.train.stages[i];
    task.tokens =
        std::max(task.tokens, stage.segments.max() * stage_segment_length(run.train, i, length));
    if (stage.data) {
      all.insert(all.end(), stage.data->begin(), stage.data->end());
    }
  }
  const auto first = [&all](DatasetKind kind) {
    return std::find_if(all.begin(), all.end(), [kind](const DatasetConfig& dataset) {
      return dataset.type == kind;
    });
  };
  auto found = first(DatasetKind::kPasskey);
  found = found == all.end() ? first(DatasetKind::kTask) : found;
  if (found == all.end()) {
    throw ConfigError("--config", "must have a dataset of type passkey or task", config_file);
  }
  task.dataset = *found;
  return task;
}

// The task as the run trained it, with what the command line changes.
DatasetConfig dataset_of(const Options& options, const TrainedTask& trained) {
  DatasetConfig dataset =
      trained.dataset.type == DatasetKind::kPasskey ? trained.dataset : DatasetConfig();
  dataset.type = DatasetKind::kPasskey;
  dataset.digits = options.task_options.digits.value_or(dataset.digits);
  const auto take = [](const std::optional<std::string>& from, std::optional<std::string>& to) {
    if (from) {
      to = from;
    }
  };
  take(options.task_options.intro, dataset.intro);
  take(options.task_options.filler, dataset.filler);
  take(options.task_options.needle, dataset.needle);
  take(options.task_options.question, dataset.question);
  return dataset;
}

bool is_about_needles(const Options& options) {
  return options.task_options.values || options.task_options.keys || options.task_options.asked ||
         options.task_options.values_per_key || options.task_options.wording || options.haystack;
}

/// Options that a task has no use for are a mistake.
void refuse_for_passkey(const Options& options) {
  const auto refuse = [](const char* option, bool given) {
    if (given) {
      throw ConfigError(option, "is not for task `passkey`", {}, "add --task needle");
    }
  };
  refuse("--values", options.task_options.values.has_value());
  refuse("--keys", options.task_options.keys.has_value());
  refuse("--asked", options.task_options.asked.has_value());
  refuse("--values-per-key", options.task_options.values_per_key.has_value());
  refuse("--hops", options.task_options.hops.has_value());
  refuse("--facts", options.task_options.facts.has_value());
  refuse("--words", options.task_options.words.has_value());
  refuse("--template", options.task_options.wording.has_value());
  refuse("--haystack", options.haystack.has_value());
}

/// `options` with what the command line gives that is not about needles alone.
TaskOptions changed(TaskOptions options, const TaskOptions& by) {
  const auto take = [](const auto& from, auto& to) {
    if (from) {
      to = from;
    }
  };
  take(by.digits, options.digits);
  take(by.hops, options.hops);
  take(by.facts, options.facts);
  take(by.words, options.words);
  take(by.intro, options.intro);
  take(by.filler, options.filler);
  take(by.needle, options.needle);
  take(by.question, options.question);
  return options;
}

/// What the command line names, or the run trained, or the paper's.
TaskConfig task_of(const Options& options, const TrainedTask& trained, const Tokenizer& tokenizer) {
  const std::string asked = is_about_needles(options) ? "needle" : "passkey";
  if (!options.task && asked == "passkey" && trained.dataset.task) {
    TaskConfig task = task_config(
        *trained.dataset.task,
        changed(trained.dataset.options.value_or(TaskOptions()), options.task_options));
    if (trained.dataset.path) {
      stand_in_text(task, *trained.dataset.path, tokenizer);
    }
    return task;
  }
  const std::string name = options.task.value_or(asked);
  if (name == "passkey") {
    refuse_for_passkey(options);
    TaskConfig task = task_config(name);
    task.passkey = dataset_of(options, trained);
    return task;
  }
  TaskConfig task = task_config(name, options.task_options);
  if (options.haystack) {
    stand_in_text(task, *options.haystack, tokenizer);
  }
  return task;
}

int run(Options options, bool segments_given) {
  Prefill prefill(options.model);
  const LoadedModel& model = prefill.model();
  const ModelConfig& config = model.config();
  const std::int64_t L = config.arch() == Architecture::kLlama ? 0 : config.fcc->segment_length;
  options.sweep.lengths_tokens = options.lengths;
  if (options.lengths.empty()) {
    if (L == 0) {
      throw ConfigError(
          segments_given ? "--segments" : "--lengths",
          "a plain Llama has no segments: give the lengths in tokens, as --lengths");
    }
    for (const std::int64_t segments : options.segments) {
      options.sweep.lengths_tokens.push_back(segments * L);
    }
  }
  options.sweep.depths = options.depths;
  options.sweep.off_multiples_of = options.sweep.spread_tokens > 0 && L > 1 ? L : 0;
  options.sweep.log = options.output + "/cells.jsonl";

  const TrainedTask trained =
      options.config_file.empty() ? TrainedTask() : task_of_run(options.config_file, L);
  const TaskConfig named = task_of(options, trained, *model.tokenizer);
  const auto task = make_task(named, model.tokenizer, model.tokenizer_policy.begins_with_bos());
  options.sweep.identity = identity_of(model);
  options.sweep.identity.merge(task->identity());
  PasskeyReportOptions report{
      .model = model_name(options.model), .task = named.task, .segment_length = L};
  const std::int64_t trained_tokens =
      options.trained_segments > 0 ? options.trained_segments * L : trained.tokens;
  if (trained_tokens > 0 && L > 0) {
    report.trained_length_tokens = trained_tokens;
  }

  const std::vector<PasskeyCell> cells =
      run_passkey_sweep(options.sweep, *task, answers_of(prefill), show_cell);
  std::fputs(table_text(passkey_table(cells, report)).c_str(), stdout);
  write_report(options.output + "/passkey.json", passkey_json(cells, options.sweep, report));
  write_report(options.output + "/passkey.csv", table_csv(passkey_cell_table(cells, report)));
  write_report(options.output + "/heatmap.svg", heat_map_svg(passkey_heat_map(cells, report)));
  return 0;
}

} // namespace

std::function<int()> add_passkey_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "passkey",
      "Hides something in a long text and asks for it at the end: accuracy by length and depth "
      "(exact match, generated token by token, greedily)");
  const auto options = std::make_shared<Options>();
  add_options(*command, *options);
  return [command, options] { return run(*options, command->count("--segments") > 0); };
}

} // namespace fcc::tools
