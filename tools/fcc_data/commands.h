#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "fcc/config/run_config.h"
#include "fcc/data/corpus.h"
#include "fcc/text/tokenizer.h"

namespace fcc {

template <>
struct EnumNames<CorpusFormat> {
  static constexpr std::array<std::pair<std::string_view, CorpusFormat>, 4> value{
      {{"auto", CorpusFormat::kAuto},
       {"text", CorpusFormat::kText},
       {"jsonl", CorpusFormat::kJsonl},
       {"parquet", CorpusFormat::kParquet}}};
};

} // namespace fcc

namespace fcc::tools {

/// Each adds one subcommand to `app`; when it is chosen, `run` becomes its work.
void add_tokenize(CLI::App& app, std::function<int()>& run);
void add_inspect(CLI::App& app, std::function<int()>& run);
void add_words(CLI::App& app, std::function<int()>& run);
void add_passkey(CLI::App& app, std::function<int()>& run);

/// What `--tokenizer` means: `bytes`; `words`, the passkey task's own vocabulary; or the path of a
/// tokenizer file or a model directory.
std::shared_ptr<const Tokenizer> tokenizer_of(const std::string& argument);
extern const char* const kTokenizerHelp;

/// An option that takes one of the names of an enum.
template <typename E>
void add_choice(CLI::App& command, const std::string& name, E& value, const std::string& doc) {
  const std::vector<std::string> names = enum_names<E>();
  std::string listed;
  for (const std::string& one : names) {
    listed += (listed.empty() ? "" : "|") + one;
  }
  const auto check = [listed, names](const std::string& text) {
    return std::find(names.begin(), names.end(), text) == names.end()
               ? "must be one of " + listed + "; got " + text
               : std::string();
  };
  const auto set = [&value](const std::string& text) {
    for (const auto& [one, enumerator] : EnumNames<E>::value) {
      value = one == text ? enumerator : value;
    }
  };
  command.add_option_function<std::string>(name, set, doc)
      ->check(CLI::Validator(check, ""))
      ->type_name(listed)
      ->default_str(std::string(enum_name(value)));
}

/// The texts of a command: `inputs`, `--format` and `--text-key`.
CLI::Option*
add_corpus_options(CLI::App& command, std::vector<std::string>& inputs, CorpusOptions& corpus);

/// The files that `inputs` name; tells on standard error what was passed over in folders.
std::vector<std::filesystem::path> listed_files(
    const std::vector<std::string>& inputs,
    const CorpusOptions& corpus);

/// Refuses to write over one of the files that are read: its content would be lost.
void refuse_input_as_output(
    const std::vector<std::filesystem::path>& inputs,
    const std::filesystem::path& output);

/// 1234567 → 1,234,567
std::string with_commas(std::int64_t number);

/// A table of lengths, a line for each power of two from the first to the last that occurs.
std::string histogram_text(const std::vector<std::int64_t>& counts);

/// The power of two below or at `length`.
std::size_t histogram_bucket(std::int64_t length);

} // namespace fcc::tools
