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
#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/data/token_file.h"
#include "fcc/eval/passkey_sweep.h"
#include "fcc/generate/stream.h"
#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"
#include "fcc/train/curriculum.h"
#include "fcc_eval/commands.h"

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
  std::optional<std::string> task, values, wording, haystack;
  std::optional<std::int64_t> digits, keys, asked, values_per_key, hops;
  std::optional<std::string> intro, filler, needle, question;
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
      ->capture_default_str()
      ->check(whole_number(0))
      ->group("Sweep");
  app.add_option(
         "--config",
         options.config_file,
         "Take the task's texts and digits from the first passkey dataset of this run's "
         "config.json")
      ->type_name("FILE")
      ->group("Task");
  app.add_option(
         "--task",
         options.task,
         "passkey (the paper's), needle (in any wording), variables (assignments to follow), and "
         "RULER's single-1, single-2, single-3, multi-key, multi-value, multi-query; default: "
         "needle where an option of needles is given, else passkey")
      ->type_name("NAME")
      ->group("Task");
  app.add_option("--values", options.values, "What needles hide: digits, words or uuid")
      ->check(CLI::IsMember({"digits", "words", "uuid"}))
      ->group("Task");
  app.add_option("--keys", options.keys, "Needles of different names (variables: chains)")
      ->group("Task");
  app.add_option("--asked", options.asked, "How many of the names are asked for")->group("Task");
  app.add_option("--values-per-key", options.values_per_key, "Needles of each name")->group("Task");
  app.add_option("--hops", options.hops, "variables: assignments after the first")->group("Task");
  std::string wordings;
  for (const std::string& name : needle_template_names()) {
    wordings += name + ", ";
  }
  app.add_option(
         "--template",
         options.wording,
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
  app.add_option("--digits", options.digits, "Digits of the values (passkey 4, needles 7)")
      ->group("Task");
  app.add_option("--intro", options.intro, "Text at the start")->group("Task");
  app.add_option("--filler", options.filler, "Text that repeats")->group("Task");
  app.add_option("--needle", options.needle, "Text that tells the key, as {key}")->group("Task");
  app.add_option("--question", options.question, "Text before the answer")->group("Task");
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
  DatasetConfig dataset;
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
  const auto found = std::find_if(all.begin(), all.end(), [](const DatasetConfig& dataset) {
    return dataset.type == DatasetKind::kPasskey;
  });
  if (found == all.end()) {
    throw ConfigError("--config", "must have a dataset of type passkey", config_file);
  }
  task.dataset = *found;
  return task;
}

// The task as the run trained it, with what the command line changes.
DatasetConfig dataset_of(const Options& options, const TrainedTask& trained) {
  DatasetConfig dataset = trained.dataset;
  dataset.type = DatasetKind::kPasskey;
  dataset.digits = options.digits.value_or(dataset.digits);
  const auto take = [](const std::optional<std::string>& from, std::optional<std::string>& to) {
    if (from) {
      to = from;
    }
  };
  take(options.intro, dataset.intro);
  take(options.filler, dataset.filler);
  take(options.needle, dataset.needle);
  take(options.question, dataset.question);
  return dataset;
}

bool is_about_needles(const Options& options) {
  return options.values || options.keys || options.asked || options.values_per_key ||
         options.wording || options.haystack;
}

/// The text that needles stand in, as tokens, and what it is.
void take_haystack(SweepTaskConfig& task, const std::string& path, const Tokenizer& tokenizer) {
  if (path.ends_with(".safetensors")) {
    const TokenFile file(path);
    file.require_tokenizer(tokenizer);
    constexpr std::int64_t kMostTokens = 1 << 26; // 256 MiB of ids
    task.haystack.resize(static_cast<std::size_t>(std::min(file.num_tokens(), kMostTokens)));
    file.read(0, task.haystack);
    task.haystack_name = file.fingerprint();
  } else {
    tokenizer.encode(read_file(path), task.haystack);
    task.haystack_name = path + ", " + std::to_string(task.haystack.size()) + " tokens";
  }
  if (task.haystack.empty()) {
    throw ConfigError("--haystack", "must hold text", path);
  }
}

/// Options that a task has no use for are a mistake.
void refuse_for_passkey(const Options& options) {
  const auto refuse = [](const char* option, bool given) {
    if (given) {
      throw ConfigError(option, "is not for task `passkey`", {}, "add --task needle");
    }
  };
  refuse("--values", options.values.has_value());
  refuse("--keys", options.keys.has_value());
  refuse("--asked", options.asked.has_value());
  refuse("--values-per-key", options.values_per_key.has_value());
  refuse("--template", options.wording.has_value());
  refuse("--haystack", options.haystack.has_value());
}

SweepTaskConfig
task_of(const Options& options, const TrainedTask& trained, const Tokenizer& tokenizer) {
  const std::string name = options.task.value_or(is_about_needles(options) ? "needle" : "passkey");
  SweepTaskConfig task = sweep_task_config(name);
  if (options.hops && name != "variables") {
    throw ConfigError("--hops", "is for --task variables", std::to_string(*options.hops));
  }
  if (name == "passkey") {
    refuse_for_passkey(options);
    task.passkey = dataset_of(options, trained);
    return task;
  }
  if (options.wording) {
    task.texts = needle_template(*options.wording);
  }
  if (options.values) {
    task.values = *options.values == "words"  ? NeedleValue::kWords
                  : *options.values == "uuid" ? NeedleValue::kUuid
                                              : NeedleValue::kDigits;
  }
  const auto take = [](const auto& from, auto& to) {
    if (from) {
      to = *from;
    }
  };
  take(options.keys, task.keys);
  take(options.asked, task.asked);
  take(options.values_per_key, task.values_per_key);
  take(options.digits, task.digits);
  take(options.hops, task.hops);
  take(options.intro, task.texts.intro);
  take(options.needle, task.texts.needle);
  take(options.question, task.texts.question);
  take(options.filler, task.filler);
  if (options.haystack) {
    take_haystack(task, *options.haystack, tokenizer);
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
  options.sweep.log = options.output + "/cells.jsonl";

  const TrainedTask trained =
      options.config_file.empty() ? TrainedTask() : task_of_run(options.config_file, L);
  const SweepTaskConfig task_config = task_of(options, trained, *model.tokenizer);
  const auto task =
      make_sweep_task(task_config, model.tokenizer, model.tokenizer_policy.begins_with_bos());
  options.sweep.identity = {
      {"model", model_hash(model.parameters)},
      {"tokenizer", model.tokenizer->hash()},
      {"dtype", std::string(c10::toString(model.weights.embed_tokens.scalar_type()))}};
  options.sweep.identity.merge(task->identity());
  PasskeyReportOptions report{
      .model = model_name(options.model), .task = task_config.task, .segment_length = L};
  const std::int64_t trained_tokens =
      options.trained_segments > 0 ? options.trained_segments * L : trained.tokens;
  if (trained_tokens > 0 && L > 0) {
    report.trained_length_tokens = trained_tokens;
  }

  const auto answer = [&](const std::vector<std::vector<std::int32_t>>& prompts,
                          std::int64_t num_tokens) {
    return continue_greedily(
        config,
        model.weights,
        prompts,
        num_tokens,
        std::bind_front(&Prefill::run, &prefill),
        model.tokenizer->vocab_size());
  };
  const auto show = [](const PasskeyCell& cell, std::size_t done, std::size_t all) {
    std::fprintf(
        stderr,
        "[%zu/%zu] %lld tokens, depth %.0f %%: %lld of %lld (%.1f s)\n",
        done,
        all,
        static_cast<long long>(cell.length_tokens),
        100 * cell.depth,
        static_cast<long long>(cell.correct),
        static_cast<long long>(cell.trials),
        cell.seconds);
  };
  const std::vector<PasskeyCell> cells = run_passkey_sweep(options.sweep, *task, answer, show);
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
