#include <cstdio>
#include <limits>
#include <optional>

#include <CLI/CLI.hpp>

#include "fcc/core/error.h"
#include "fcc/core/printable.h"
#include "fcc/data/loader.h"
#include "fcc/data/token_file.h"
#include "fcc_data/commands.h"

namespace fcc::tools {
namespace {

struct Arguments {
  std::string path, tokenizer;
  DatasetConfig dataset;
  std::int64_t rows = 1, segments = 4, segment_length = 64, position = 0;
  std::uint64_t seed = 0;
  bool add_bos = false, no_eos = false;
};

void print_header(const TokenFile& file, const std::string& path) {
  std::int64_t shortest = std::numeric_limits<std::int64_t>::max(), longest = 0;
  std::vector<std::int64_t> histogram(63);
  for (std::int64_t d = 0; d < file.num_documents(); ++d) {
    const std::int64_t length = file.document_end(d) - file.document_begin(d);
    shortest = std::min(shortest, length);
    longest = std::max(longest, length);
    ++histogram[histogram_bucket(length)];
  }
  const TokenFileInfo& info = file.info();
  std::printf(
      "%s\n  tokens     %s (%s)\n  documents  %s, of %s to %s tokens, %.1f on the mean\n"
      "  tokenizer  %s, %s ids, %s BOS, %s EOS\n  hash       %s\n  checksums  %s\n%s",
      path.c_str(),
      with_commas(file.num_tokens()).c_str(),
      std::string(dtype_name(file.dtype())).c_str(),
      with_commas(file.num_documents()).c_str(),
      with_commas(shortest).c_str(),
      with_commas(longest).c_str(),
      static_cast<double>(file.num_tokens()) / static_cast<double>(file.num_documents()),
      printable(info.tokenizer_kind).c_str(),
      with_commas(info.vocab_size).c_str(),
      info.add_bos ? "with" : "without",
      info.add_eos ? "with" : "without",
      printable(info.tokenizer_hash).c_str(),
      file.has_checksums() ? "good" : "none (an older file)",
      histogram_text(histogram).c_str());
}

/// Segments and their length: a row is held in memory.
constexpr std::int64_t kMaxTokens = std::int64_t{1} << 24;

/// BOS and EOS that are not as the file says; nothing if all are.
void print_marks(const MarkReport& report) {
  const auto line = [](const char* mark, std::int64_t count, const char* what) {
    if (count > 0) {
      std::printf("  %s        %s in %s documents\n", mark, what, with_commas(count).c_str());
    }
  };
  line("BOS", report.missing_bos, "missing");
  line("BOS", report.doubled_bos, "doubled");
  line("BOS", report.surplus_bos, "there, although the file says without,");
  line("EOS", report.missing_eos, "missing");
  line("EOS", report.doubled_eos, "doubled");
}

/// On one line, control characters shown.
std::string shown(std::string_view text) {
  std::string result;
  while (true) {
    const std::size_t end = text.find('\0');
    result += printable(text.substr(0, end));
    if (end == std::string_view::npos) {
      return result;
    }
    result += "\\0"; // what padding looks like to the byte tokenizer
    text.remove_prefix(end + 1);
  }
}

enum class Mark { kCounted, kAnswer, kIgnored };

std::string marked(
    const Tokenizer& tokenizer,
    const std::vector<std::int32_t>& run,
    Mark mark,
    std::size_t ignored) {
  if (mark == Mark::kIgnored) {
    return " <" + std::to_string(ignored) + " not counted> ";
  }
  std::string text = shown(tokenizer.decode(run));
  // Special tokens decode to nothing and would not be seen.
  if (!run.empty() && run.back() == tokenizer.eos_id()) {
    text += "<EOS>";
  }
  return mark == Mark::kAnswer ? "{{" + text + "}}" : text;
}

/// The targets from `begin` to `end`: what counts as text, answers in {{ }}.
std::string
targets_text(const Tokenizer& tokenizer, const Batch& batch, std::size_t begin, std::size_t end) {
  std::string text;
  std::vector<std::int32_t> run;
  std::size_t first = begin;
  const auto mark_of = [&](std::size_t i) {
    return batch.targets[i] == kIgnoredTarget ? Mark::kIgnored
           : batch.answer[i] != 0             ? Mark::kAnswer
                                              : Mark::kCounted;
  };
  for (std::size_t i = begin; i < end; ++i) {
    run.push_back(batch.targets[i]);
    if (i + 1 == end || mark_of(i + 1) != mark_of(i)) {
      text += marked(tokenizer, run, mark_of(i), i + 1 - first);
      run.clear();
      first = i + 1;
    }
  }
  return text;
}

void print_row(const Tokenizer& tokenizer, const Batch& batch) {
  const auto length = static_cast<std::size_t>(batch.shape.segment_length);
  for (std::size_t s = 0; s < static_cast<std::size_t>(batch.shape.all_segments()); ++s) {
    const auto begin = batch.ids.begin() + static_cast<std::ptrdiff_t>(s * length);
    const std::vector<std::int32_t> ids(begin, begin + static_cast<std::ptrdiff_t>(length));
    std::printf(
        "  segment %zu%s\n    ids     |%s|\n    targets |%s|\n",
        s,
        batch.segment_starts_document[s] != 0 ? ", starts a document: no memory" : "",
        shown(tokenizer.decode(ids)).c_str(),
        targets_text(tokenizer, batch, s * length, (s + 1) * length).c_str());
  }
}

/// Options that would be passed over without a word.
void refuse_what_is_not_used(const Arguments& arguments, bool has_token_file) {
  const std::string type(enum_name(arguments.dataset.type));
  if (arguments.dataset.type == DatasetKind::kPasskey && !arguments.path.empty()) {
    throw ConfigError("inspect", "--type passkey makes its samples: no path", arguments.path);
  }
  if (has_token_file && arguments.dataset.loss_on != LossOn::kAll) {
    throw ConfigError("--loss-on", "is for --type passkey and pairs", "--type " + type);
  }
  if (has_token_file && (arguments.add_bos || arguments.no_eos)) {
    throw ConfigError(
        "inspect", "a token file says itself whether it has BOS and EOS", "--add-bos or --no-eos");
  }
  if (arguments.dataset.type != DatasetKind::kPairs &&
      (arguments.dataset.prompt_key || arguments.dataset.answer_key ||
       arguments.dataset.prompt_template != DatasetConfig().prompt_template)) {
    throw ConfigError(
        "inspect", "--prompt-key, --answer-key and --template are for --type pairs", type);
  }
  if (arguments.dataset.type != DatasetKind::kTokens &&
      arguments.dataset.document_memory != DocumentMemory::kCarry) {
    throw ConfigError("--document-memory", "is for --type tokens", "--type " + type);
  }
}

int run_inspect(Arguments arguments) {
  DatasetConfig& dataset = arguments.dataset;
  std::string tokenizer_name = arguments.tokenizer;
  DocumentMarks marks{.bos = arguments.add_bos, .eos = !arguments.no_eos};
  if (!arguments.path.empty()) {
    dataset.path = arguments.path;
  }
  const bool has_token_file =
      dataset.type == DatasetKind::kTokens || dataset.type == DatasetKind::kDocuments;
  refuse_what_is_not_used(arguments, has_token_file);
  if (has_token_file) {
    if (!dataset.path) {
      throw ConfigError("inspect", "needs the path of a token file", "none");
    }
    const TokenFile file(*dataset.path);
    file.verify();
    print_header(file, *dataset.path);
    marks = {.bos = file.info().add_bos, .eos = file.info().add_eos};
    if (tokenizer_name.empty() && file.info().tokenizer_kind != "bytes") {
      std::printf("(--tokenizer PATH shows decoded samples)\n");
      return 0;
    }
  }
  const auto tokenizer = tokenizer_of(tokenizer_name.empty() ? "bytes" : tokenizer_name);
  if (has_token_file) {
    const TokenFile file(*dataset.path);
    file.require_tokenizer(*tokenizer);
    const MarkReport report = check_marks(file, *tokenizer);
    print_marks(report);
    if (report.first_bad_bos >= 0) {
      return 1; // fcc-train refuses it: there are no rows to show
    }
  }
  Loader loader = make_loader({dataset}, tokenizer, arguments.seed, marks);
  loader.restore({.positions = {arguments.position}, .rows_drawn = 0});
  const BatchShape shape{
      .batch_size = 1,
      .num_segments = arguments.segments,
      .segment_length = arguments.segment_length};
  const double padded = loader.datasets()[0]->padded_share(shape);
  if (padded > 0.0) {
    std::printf("padding at this length: %.1f %%\n", 100.0 * padded);
  }
  for (std::int64_t row = 0; row < arguments.rows; ++row) {
    std::printf(
        "position %s%s\n",
        with_commas(loader.state().positions[0]).c_str(),
        row == 0 ? " (targets: the next tokens; an answer in {{ }})" : "");
    print_row(*tokenizer, loader.next(shape));
  }
  return 0;
}

} // namespace

void add_inspect(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  DatasetConfig& dataset = arguments->dataset;
  CLI::App* command = app.add_subcommand(
      "inspect",
      "What a token file holds, and rows as fcc-train reads them.\n"
      "Segments and targets are marked; passkey and pairs can be looked at too.");
  command->add_option(
      "path", arguments->path, "Token file (tokens, documents); JSONL or Parquet (pairs)");
  add_choice(
      *command, "--type", dataset.type, "Kind of data: a token file twice, made samples, JSONL");
  command->add_option("--tokenizer", arguments->tokenizer, kTokenizerHelp);
  command->add_option("--rows", arguments->rows, "Rows to show")
      ->check(whole_number(0))
      ->capture_default_str();
  command->add_option("--segments", arguments->segments, "Segments of a row")
      ->check(whole_number(1, kMaxTokens))
      ->capture_default_str();
  command->add_option("--segment-length", arguments->segment_length, "Tokens of a segment")
      ->check(whole_number(1, kMaxTokens))
      ->capture_default_str();
  command
      ->add_option(
          "--position", arguments->position, "First row: a token (tokens) or a row (other types)")
      ->check(whole_number(0))
      ->capture_default_str();
  add_choice(
      *command,
      "--document-memory",
      dataset.document_memory,
      "tokens: documents are joined, or each starts anew on a segment");
  add_choice(*command, "--loss-on", dataset.loss_on, "passkey, pairs: targets that count");
  command->add_option("--prompt-key", dataset.prompt_key, "pairs: key or column of the prompt");
  command->add_option("--answer-key", dataset.answer_key, "pairs: key or column of the answer");
  command->add_option(
      "--template",
      dataset.prompt_template,
      "pairs: what is read before the answer, with {prompt}");
  command->add_option("--seed", arguments->seed, "Other passkey samples, another order of pairs")
      ->check(seed_number())
      ->capture_default_str();
  command->add_flag("--add-bos", arguments->add_bos, "Begin passkey and pairs with BOS");
  command->add_flag("--no-eos", arguments->no_eos, "Do not end passkey and pairs with EOS");
  command->callback([arguments, &run] { run = [arguments] { return run_inspect(*arguments); }; });
}

} // namespace fcc::tools
