#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "common/torch/model_options.h"
#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/data/loader.h"
#include "fcc/data/token_file.h"
#include "fcc/engine/executor.h"
#include "fcc/eval/perplexity.h"
#include "fcc/io/files.h"
#include "fcc_eval/commands.h"

namespace fcc::tools {
namespace {

constexpr std::int64_t kLlamaSegment = 512; // tokens a row of a plain Llama's report stands for
constexpr std::int64_t kChunkTokens = 4096; // that run at once

struct Options {
  ModelOptions model;
  std::string tokens, text, config_file;
  std::int64_t segments = 8, segment_length = 0, sequences = 0, batch_size = 8, chunk_segments = 0;
  bool cut_memory = false, compare_cut = false;
  std::string json, csv;
};

void add_options(CLI::App& app, Options& options) {
  add_model_options(app, options.model);
  add_execution_option(app, options.model);
  auto* tokens =
      app.add_option("--tokens", options.tokens, "Token file, as `fcc-data tokenize` makes it")
          ->type_name("FILE")
          ->group("Data");
  auto* text = app.add_option("--text", options.text, "Text file, tokenised here as one document")
                   ->type_name("FILE")
                   ->excludes(tokens)
                   ->group("Data");
  app.add_option(
         "--config",
         options.config_file,
         "The validation datasets of this run config, with their document borders (64 sequences "
         "unless --sequences says otherwise)")
      ->type_name("FILE")
      ->excludes(tokens)
      ->excludes(text)
      ->group("Data");
  app.add_option(
         "-s,--segments",
         options.segments,
         "Segments of a sequence; 0: the whole file is one sequence")
      ->capture_default_str()
      ->check(whole_number(0, kMaxSegments))
      ->group("Data");
  app.add_option("-n,--sequences", options.sequences, "Sequences, from the start; 0: all")
      ->capture_default_str()
      ->check(whole_number(0))
      ->group("Data");
  app.add_option(
         "--segment-length",
         options.segment_length,
         "Tokens of a segment in the report, for a plain Llama (others have their own)")
      ->check(whole_number(0, kMaxSegments))
      ->group("Data");
  auto* cut = app.add_flag(
                     "--cut-memory",
                     options.cut_memory,
                     "Every segment starts without memory: what the model knows from it alone")
                  ->group("Measure");
  app.add_flag("--compare-cut", options.compare_cut, "Both, side by side: what memory is worth")
      ->excludes(cut)
      ->group("Measure");
  app.add_option("--batch-size", options.batch_size, "Sequences that run at once")
      ->capture_default_str()
      ->check(whole_number(1))
      ->group("Measure");
  app.add_option(
         "--chunk-segments",
         options.chunk_segments,
         "Segments that run at once; 0: about 4096 tokens. The result does not depend on it")
      ->capture_default_str()
      ->check(whole_number(0))
      ->group("Measure");
  app.add_option("--json", options.json, "Write the results as JSON")
      ->type_name("FILE")
      ->group("Output");
  app.add_option("--csv", options.csv, "Write the results as CSV")
      ->type_name("FILE")
      ->group("Output");
}

TokenText open_text(const Options& options, const LoadedModel& model) {
  if (!options.tokens.empty()) {
    const auto file = std::make_shared<TokenFile>(options.tokens);
    file->require_tokenizer(*model.tokenizer);
    return {
        .num_tokens = file->num_tokens(),
        .read = [file](std::int64_t position, std::span<std::int32_t> ids) {
          file->read(position, ids);
        }};
  }
  if (options.text.empty()) {
    throw ConfigError("perplexity", "needs --tokens FILE, --text FILE or --config FILE");
  }
  const auto ids =
      std::make_shared<std::vector<std::int32_t>>(encode_prompt(model, read_file(options.text)));
  return {
      .num_tokens = static_cast<std::int64_t>(ids->size()),
      .read = [ids](std::int64_t position, std::span<std::int32_t> to) {
        std::copy_n(ids->begin() + position, to.size(), to.begin());
      }};
}

// Where the rows come from: group after group of at most `batch_size`.
struct Rows {
  std::int64_t num_rows = 0;
  std::function<RowSource(std::int64_t first, std::int64_t count)> at;
};

Rows rows_of_file(const Options& options, const LoadedModel& model, std::int64_t L) {
  const TokenText text = open_text(options, model);
  const std::int64_t all_segments = text.num_tokens / L;
  const std::int64_t num_segments = options.segments > 0 ? options.segments : all_segments;
  const std::int64_t fitting = num_segments > 0 ? all_segments / num_segments : 0;
  if (fitting == 0) {
    throw ConfigError(
        "--segments",
        "the data must hold at least one sequence of " +
            std::to_string(std::max<std::int64_t>(1, num_segments) * L) + " tokens",
        std::to_string(text.num_tokens) + " tokens");
  }
  return {
      .num_rows = options.sequences > 0 ? std::min(options.sequences, fitting) : fitting,
      .at = [=](std::int64_t first, std::int64_t count) {
        return rows_of_text(text, first, count, num_segments, L);
      }};
}

Rows rows_of_run(const Options& options, const LoadedModel& model, std::int64_t L) {
  const RunConfig run = read_config<RunConfig>(read_file(options.config_file), options.config_file);
  if (run.data.validation.empty()) {
    throw ConfigError("--config", "must have a dataset in data.validation", options.config_file);
  }
  if (options.segments < 1) {
    throw ConfigError("--segments", "must be at least 1 with --config", "0");
  }
  const auto new_loader = [=, tokenizer = model.tokenizer, policy = model.tokenizer_policy] {
    return make_loader(
        run.data.validation,
        tokenizer,
        static_cast<std::uint64_t>(run.train.seed),
        marks_of(policy),
        "data.validation");
  };
  const auto loader = std::make_shared<Loader>(new_loader());
  return {
      .num_rows = options.sequences > 0 ? options.sequences : 64,
      .at = [=, segments = options.segments](std::int64_t first, std::int64_t count) {
        if (first == 0) {
          *loader = new_loader(); // a second measure sees the same rows
        }
        return rows_of_batch(
            loader->next({.batch_size = count, .num_segments = segments, .segment_length = L}));
      }};
}

int run(const Options& options) {
  for (const std::string* report : {&options.json, &options.csv}) {
    if (!report->empty()) {
      prepare_report(*report);
    }
  }
  LoadedModel model = load_model(options.model);
  const ModelConfig& config = model.config();
  const bool llama = config.arch() == Architecture::kLlama;
  if (!llama && options.segment_length > 0 &&
      options.segment_length != config.fcc->segment_length) {
    throw ConfigError(
        "--segment-length",
        "must be the model's own " + std::to_string(config.fcc->segment_length),
        std::to_string(options.segment_length));
  }
  const std::int64_t L = !llama                       ? config.fcc->segment_length
                         : options.segment_length > 0 ? options.segment_length
                                                      : kLlamaSegment;
  const Rows rows = options.config_file.empty() ? rows_of_file(options, model, L)
                                                : rows_of_run(options, model, L);
  const std::unique_ptr<Executor> executor =
      make_executor(options.model, model, /*documents_reset=*/!options.config_file.empty());
  const auto measure = [&](bool cut) {
    PerplexityOptions measured{.segment_length = L, .cut_memory = cut};
    measured.device = model.weights.embed_tokens.device();
    measured.chunk_segments =
        options.chunk_segments > 0
            ? options.chunk_segments
            : std::max<std::int64_t>(
                  1, kChunkTokens / (L * std::min(options.batch_size, rows.num_rows)));
    SegmentLosses losses;
    for (std::int64_t row = 0; row < rows.num_rows; row += options.batch_size) {
      const std::int64_t count = std::min(options.batch_size, rows.num_rows - row);
      add_losses(losses, *executor, config, rows.at(row, count), measured);
      std::fprintf(
          stderr,
          "%s%lld of %lld sequences, %.4f nats a token\n",
          cut ? "memory cut: " : "",
          static_cast<long long>(row + count),
          static_cast<long long>(rows.num_rows),
          losses.total().nll());
    }
    return losses;
  };
  PerplexityReport report;
  if (!options.cut_memory) {
    report.with_memory = measure(false);
  }
  if (options.cut_memory || options.compare_cut) {
    report.cut = measure(true);
  }
  std::fputs(table_text(perplexity_table(report, /*csv=*/false)).c_str(), stdout);
  if (!options.json.empty()) {
    write_report(options.json, perplexity_json(report, model_name(options.model), L));
  }
  if (!options.csv.empty()) {
    write_report(options.csv, table_csv(perplexity_table(report, /*csv=*/true)));
  }
  return 0;
}

} // namespace

std::function<int()> add_perplexity_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "perplexity",
      "Loss on a text by segment (nats a token and perplexity); --compare-cut shows what the "
      "memory is worth");
  command->alias("ppl");
  const auto options = std::make_shared<Options>();
  add_options(*command, *options);
  return [options] { return run(*options); };
}

} // namespace fcc::tools
