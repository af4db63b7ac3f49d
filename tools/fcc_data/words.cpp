#include <algorithm>
#include <cstdio>
#include <unordered_map>
#include <utility>

#include <CLI/CLI.hpp>

#include "fcc/core/error.h"
#include "fcc/data/corpus.h"
#include "fcc/data/passkey.h"
#include "fcc/io/files.h"
#include "fcc/text/words_tokenizer.h"
#include "fcc_data/commands.h"

namespace fcc::tools {
namespace {

struct Arguments {
  std::vector<std::string> inputs;
  std::string output;
  CorpusOptions corpus;
  bool passkey = false;
  std::int64_t min_count = 1, max_words = 0;
};

/// The words of the corpus that come often enough, each once, joined by spaces.
std::string frequent_words(const Arguments& arguments) {
  std::unordered_map<std::string, std::int64_t> counts;
  const auto files = listed_files(arguments.inputs, arguments.corpus);
  refuse_input_as_output(files, arguments.output);
  Corpus corpus(files, arguments.corpus);
  std::string text;
  while (corpus.next(text)) {
    for (const std::string_view word : split_words(text)) {
      ++counts[std::string(word)];
    }
  }
  if (counts.empty()) {
    throw Error(arguments.inputs.front(), "the inputs must hold a word", "none");
  }
  std::vector<std::pair<std::string, std::int64_t>> words(counts.begin(), counts.end());
  // Most frequent first; equal counts by the word, so that the result is always the same.
  std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::string joined;
  std::int64_t num_words = 0;
  for (const auto& [word, count] : words) {
    if (count < arguments.min_count ||
        (arguments.max_words > 0 && num_words == arguments.max_words)) {
      break;
    }
    joined += word + " ";
    ++num_words;
  }
  return joined;
}

int run_words(const Arguments& arguments) {
  std::vector<std::string> texts;
  if (arguments.passkey) {
    texts = passkey_texts(DatasetConfig());
  } else if (arguments.inputs.empty()) {
    throw ConfigError("words", "needs texts, or --passkey", "none");
  }
  if (!arguments.inputs.empty()) {
    texts.push_back(frequent_words(arguments));
  }
  const std::vector<std::string> vocabulary = words_vocabulary(texts);
  std::string content;
  for (const std::string& word : vocabulary) {
    content += word + "\n";
  }
  write_file_atomic(arguments.output, content);
  std::printf(
      "%s: %s words\n",
      arguments.output.c_str(),
      with_commas(static_cast<std::int64_t>(vocabulary.size())).c_str());
  return 0;
}

} // namespace

void add_words(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "words",
      "A vocabulary for the words tokenizer.\n"
      "Words, single digits and punctuation marks of the texts, after <unk>, <s> and </s>.");
  add_corpus_options(*command, arguments->inputs, arguments->corpus);
  command->add_option("-o,--output", arguments->output, "File to write")
      ->default_str("vocabulary.txt");
  arguments->output = "vocabulary.txt";
  command->add_flag(
      "--passkey", arguments->passkey, "The texts of the passkey task, and all digits");
  command->add_option("--min-count", arguments->min_count, "Leave out rarer words of the inputs")
      ->check(whole_number(1))
      ->capture_default_str();
  command
      ->add_option(
          "--max-words", arguments->max_words, "Most frequent words of the inputs (0: all)")
      ->check(whole_number(0))
      ->capture_default_str();
  command->callback([arguments, &run] { run = [arguments] { return run_words(*arguments); }; });
}

} // namespace fcc::tools
