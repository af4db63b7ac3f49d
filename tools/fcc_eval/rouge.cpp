#include "fcc/eval/rouge.h"

#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "fcc/core/error.h"
#include "fcc/data/corpus.h"
#include "fcc/eval/report.h"
#include "fcc_eval/commands.h"

namespace fcc::tools {
namespace {

struct Options {
  std::string predictions, references, scores;
  std::string prediction_key = "generated", reference_key = "reference";
  RougeOptions rouge;
};

/// The texts of a file: of JSON Lines under `key`, else the lines.
std::vector<std::string> read_texts(const std::string& path, const std::string& key) {
  Corpus corpus({path}, {.text_key = key, .separator = "\n"});
  std::vector<std::string> texts;
  for (std::string text; corpus.next(text);) {
    texts.push_back(text);
  }
  return texts;
}

int run(const Options& options) {
  const auto predictions = read_texts(options.predictions, options.prediction_key);
  const auto references = read_texts(options.references, options.reference_key);
  if (predictions.size() != references.size() || predictions.empty()) {
    throw FormatError(
        options.predictions,
        "must have as many texts as the references, and one at least",
        std::to_string(predictions.size()) + " and " + std::to_string(references.size()));
  }
  if (!options.scores.empty()) {
    prepare_report(options.scores);
  }
  using Member = RougeScore RougeScores::*;
  constexpr std::array<std::pair<const char*, Member>, 4> kScores{
      {{"rouge_1", &RougeScores::rouge_1},
       {"rouge_2", &RougeScores::rouge_2},
       {"rouge_l", &RougeScores::rouge_l},
       {"rouge_lsum", &RougeScores::rouge_lsum}}};
  std::array<RougeScore, kScores.size()> sums;
  std::string lines;
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    const RougeScores scores = rouge(predictions[i], references[i], options.rouge);
    for (std::size_t k = 0; k < kScores.size(); ++k) {
      const RougeScore& one = scores.*kScores[k].second;
      sums[k].precision += one.precision;
      sums[k].recall += one.recall;
      sums[k].f1 += one.f1;
    }
    if (!options.scores.empty()) {
      lines += rouge_json(scores) + "\n";
    }
  }
  const auto mean = [&](double sum) {
    return format_number(sum / static_cast<double>(predictions.size()), 4);
  };
  Table table{{"score", "precision", "recall", "f1"}, {}};
  for (std::size_t k = 0; k < kScores.size(); ++k) {
    table.rows.push_back(
        {kScores[k].first, mean(sums[k].precision), mean(sums[k].recall), mean(sums[k].f1)});
  }
  std::fputs(table_text(table).c_str(), stdout);
  if (!options.scores.empty()) {
    write_report(options.scores, lines);
  }
  return 0;
}

} // namespace

std::function<int()> add_rouge_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "rouge",
      "Scores given texts against references: ROUGE-1, -2, -L and -Lsum, means over the pairs, "
      "equal to the Python package rouge-score 0.1.2 with or without its stemmer");
  const auto options = std::make_shared<Options>();
  command
      ->add_option(
          "--predictions", options->predictions, "A text a line, or JSON Lines (also .gz, .zst)")
      ->required()
      ->type_name("FILE");
  command->add_option("--references", options->references, "The same, in the same order")
      ->required()
      ->type_name("FILE");
  command->add_option("--prediction-key", options->prediction_key, "Key of the text in JSON Lines")
      ->capture_default_str();
  command->add_option("--reference-key", options->reference_key, "The same of the references")
      ->capture_default_str();
  command->add_flag("--stemmer", options->rouge.stem, "Compare stems (Porter), not words");
  command->add_option("--scores", options->scores, "JSON Lines to write: the scores of each pair")
      ->type_name("FILE");
  return [options] { return run(*options); };
}

} // namespace fcc::tools
