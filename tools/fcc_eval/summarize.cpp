#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "common/torch/prefill.h"
#include "fcc/core/error.h"
#include "fcc/eval/summarize.h"
#include "fcc/generate/sampler.h"
#include "fcc/generate/stream.h"
#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"
#include "fcc_eval/commands.h"

namespace fcc::tools {
namespace {

struct Options {
  ModelOptions model;
  std::string pairs, output = "summaries", prompt_template = DatasetConfig().prompt_template;
  PairKeys keys;
  std::int64_t max_tokens = 256;
  std::vector<std::int64_t> edges{512, 1024};
  SamplerOptions sampler{.temperature = 0.3};
  SummarizeOptions summaries;
};

void add_options(CLI::App& app, Options& options) {
  add_model_options(app, options.model);
  add_execution_option(app, options.model);
  app.add_option(
         "--pairs",
         options.pairs,
         "JSON Lines (also .gz, .zst) or Parquet, a text and its summary a row")
      ->required()
      ->type_name("FILE")
      ->group("Data");
  app.add_option(
         "--prompt-key",
         options.keys.prompt,
         "Key or column of the text (default: article, text, document or chapter)")
      ->group("Data");
  app.add_option(
         "--answer-key",
         options.keys.answer,
         "Key or column of the summary (default: highlights, summary or summary_text)")
      ->group("Data");
  app.add_option(
         "--template",
         options.prompt_template,
         "What the model reads before the summary, `{prompt}` being the text; as `template` of the "
         "dataset it was trained on (default: arXiv 2405.04620, appendix D)")
      ->group("Data");
  app.add_option("-n,--num-pairs", options.summaries.num_pairs, "Texts, from the start; 0: all")
      ->check(whole_number(0))
      ->group("Data");
  app.add_option(
         "--max-length",
         options.summaries.max_length_tokens,
         "Tokens of text and summary: longer texts are cut; 0: no limit")
      ->check(whole_number(0))
      ->group("Data");
  app.add_option("--max-tokens", options.max_tokens, "Tokens of a generated summary, at most")
      ->capture_default_str()
      ->check(whole_number(1))
      ->group("Generation");
  app.add_option("-t,--temperature", options.sampler.temperature, "0: always the likeliest token")
      ->capture_default_str()
      ->group("Generation");
  app.add_option("--top-k", options.sampler.top_k, "Only the k likeliest tokens; 0: all")
      ->capture_default_str()
      ->group("Generation");
  app.add_option("--top-p", options.sampler.top_p, "Only the likeliest tokens of this share")
      ->capture_default_str()
      ->group("Generation");
  app.add_option("--seed", options.sampler.seed, "Equal seeds draw equal summaries")
      ->check(seed_number())
      ->capture_default_str()
      ->check(whole_number(0))
      ->group("Generation");
  app.add_flag("--stemmer", options.summaries.rouge.stem, "ROUGE of stems (Porter), not of words")
      ->group("Output");
  app.add_option("--edges", options.edges, "Borders between the reported input lengths, tokens")
      ->delimiter(',')
      ->capture_default_str()
      ->group("Output");
  app.add_option(
         "-o,--output",
         options.output,
         "Directory for summaries.jsonl, rouge.json and rouge.csv; the same command goes on where "
         "it was killed")
      ->capture_default_str()
      ->type_name("DIR")
      ->group("Output");
}

/// What a summary is drawn by and sorted into, before hours of generation.
void check_options(const Options& options) {
  [[maybe_unused]] const Sampler refuses_bad_options(options.sampler);
  std::int64_t edge_before = 0;
  for (const std::int64_t edge : options.edges) {
    if (edge <= edge_before) {
      throw ConfigError("--edges", "must ascend from above 0", std::to_string(edge));
    }
    edge_before = edge;
  }
}

int run(Options options) {
  check_options(options);
  Prefill prefill(options.model);
  const LoadedModel& model = prefill.model();
  const PairFile pairs(options.pairs, options.keys);
  const PairTemplate prompts(
      model.tokenizer,
      {.bos = model.tokenizer_policy.begins_with_bos(),
       .eos = model.tokenizer->eos_id() != std::nullopt},
      options.prompt_template);
  options.summaries.log = options.output + "/summaries.jsonl";
  options.summaries.identity = {
      {"model", model_hash(model.parameters)},
      {"tokenizer", model.tokenizer->hash()},
      {"dtype", std::string(c10::toString(model.weights.embed_tokens.scalar_type()))},
      {"pairs", sha256_hex_of_file(options.pairs)},
      {"max_tokens", std::to_string(options.max_tokens)},
      {"temperature", format_number(options.sampler.temperature, 6)},
      {"top_k", std::to_string(options.sampler.top_k)},
      {"top_p", format_number(options.sampler.top_p, 6)},
      {"seed", std::to_string(options.sampler.seed)}};
  // Only where they are given: a log of before there were any goes on.
  const auto also = [&options](const char* key, const std::string& value) {
    if (!value.empty()) {
      options.summaries.identity[key] = value;
    }
  };
  also("prompt_key", options.keys.prompt.value_or(""));
  also("answer_key", options.keys.answer.value_or(""));
  const bool usual = options.prompt_template == DatasetConfig().prompt_template;
  also("template", usual ? "" : options.prompt_template);
  const auto summarize = [&](const std::vector<std::int32_t>& prompt, std::int64_t index) {
    SamplerOptions sampler = options.sampler;
    sampler.seed += static_cast<std::uint64_t>(index); // each text draws for itself
    sampler.num_ids = model.tokenizer->vocab_size();
    return model.tokenizer->decode(continue_sampled(
        model.config(),
        model.weights,
        prompt,
        Sampler(sampler),
        options.max_tokens,
        model.tokenizer->end_ids(),
        std::bind_front(&Prefill::run, &prefill)));
  };
  const auto show = [](const SummaryResult& result, std::int64_t done, std::int64_t all) {
    std::fprintf(
        stderr,
        "[%lld/%lld] %lld tokens, ROUGE-1 %.4f\n",
        static_cast<long long>(done),
        static_cast<long long>(all),
        static_cast<long long>(result.input_tokens),
        result.scores.rouge_1.f1);
  };
  const auto results = run_summaries(options.summaries, pairs, prompts, summarize, show);
  const Table table = summary_table(results, options.edges);
  std::fputs(table_text(table).c_str(), stdout);
  write_report(
      options.output + "/rouge.json",
      summary_json(results, options.edges, model_name(options.model)));
  write_report(options.output + "/rouge.csv", table_csv(table));
  return 0;
}

} // namespace

std::function<int()> add_summarize_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "summarize",
      "Generates summaries and scores them against given ones: ROUGE-1, -2, -L and -Lsum (F1) by "
      "length of the input");
  const auto options = std::make_shared<Options>();
  add_options(*command, *options);
  return [options] { return run(*options); };
}

} // namespace fcc::tools
