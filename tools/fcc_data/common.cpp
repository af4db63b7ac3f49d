#include <algorithm>
#include <bit>
#include <cstdio>
#include <system_error>

#include "fcc/core/error.h"
#include "fcc/data/passkey.h"
#include "fcc/text/words_tokenizer.h"
#include "fcc_data/commands.h"

namespace fcc::tools {

const char* const kTokenizerHelp =
    "bytes, words (the vocabulary of the passkey task), or the path of a tokenizer file or a model "
    "directory";

std::shared_ptr<const Tokenizer> tokenizer_of(const std::string& argument) {
  TokenizerConfig config;
  if (argument == "words") {
    return make_words_tokenizer(words_vocabulary(passkey_texts(DatasetConfig())));
  }
  if (argument != "bytes") {
    config.path = argument;
  }
  return make_tokenizer(config);
}

CLI::Option*
add_corpus_options(CLI::App& command, std::vector<std::string>& inputs, CorpusOptions& corpus) {
  CLI::Option* option = command.add_option(
      "inputs",
      inputs,
      "Text files (one document each), JSON Lines, .parquet; the first two also packed by gzip or "
      "zstd; folders of these");
  option->allow_extra_args(false); // else `[folder]` would be a list of one, `folder`
  add_choice(
      command,
      "--format",
      corpus.format,
      "What the inputs are; auto: as named or, where the name says nothing, as they begin");
  command.add_option("--text-key", corpus.text_key, "Key (JSONL) or column (Parquet) of the text")
      ->capture_default_str();
  return option;
}

std::vector<std::filesystem::path> listed_files(
    const std::vector<std::string>& inputs,
    const CorpusOptions& corpus) {
  PassedOver passed_over;
  std::vector<std::filesystem::path> files =
      corpus_files({inputs.begin(), inputs.end()}, corpus.format, &passed_over);
  const auto tell = [](std::int64_t count, const char* what) {
    if (count > 0) {
      std::fprintf(stderr, "passed over %s %s\n", with_commas(count).c_str(), what);
    }
  };
  tell(passed_over.num_other, "files of other kinds (see `fcc-data tokenize --help`)");
  tell(passed_over.num_hidden, "hidden files and folders (.git, .ipynb_checkpoints, …)");
  tell(passed_over.num_repeated, "links to folders that are read by another path");
  return files;
}

void refuse_input_as_output(
    const std::vector<std::filesystem::path>& inputs,
    const std::filesystem::path& output) {
  for (const std::filesystem::path& input : inputs) {
    std::error_code absent; // a file that is not there is not the same
    if (std::filesystem::equivalent(input, output, absent)) {
      throw ConfigError("--output", "must not be one of the inputs", output.string());
    }
  }
}

std::string with_commas(std::int64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::size_t histogram_bucket(std::int64_t length) {
  return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(length)) - 1);
}

std::string histogram_text(const std::vector<std::int64_t>& counts) {
  constexpr double kBarWidth = 40.0;
  const std::int64_t largest = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  if (largest == 0) {
    return {};
  }
  std::size_t first = 0, last = counts.size() - 1;
  while (counts[first] == 0) {
    ++first;
  }
  while (counts[last] == 0) {
    --last;
  }
  std::string text = "          tokens a document    documents\n";
  for (std::size_t i = first; i <= last; ++i) {
    const std::int64_t from = std::int64_t{1} << i;
    char line[120];
    std::snprintf(
        line,
        sizeof(line),
        "%12s - %12s %12s  ",
        with_commas(from).c_str(),
        with_commas(2 * from - 1).c_str(),
        with_commas(counts[i]).c_str());
    const double share = static_cast<double>(counts[i]) / static_cast<double>(largest);
    const auto width = static_cast<std::size_t>(share * kBarWidth + 0.5);
    text += line;
    text.append(counts[i] > 0 ? std::max<std::size_t>(width, 1) : 0, '#');
    text += '\n';
  }
  return text;
}

} // namespace fcc::tools
