#include "fcc/data/tokenize.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include <CLI/CLI.hpp>

#include "fcc/core/error.h"
#include "fcc/data/token_file.h"
#include "fcc_data/commands.h"

namespace fcc::tools {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::vector<std::string> inputs;
  std::string tokenizer = "bytes";
  std::string separator;
  TokenizeOptions options;
  bool no_eos = false, overwrite = false, quiet = false;
};

/// `\n`, `\t`, `\r` and `\\` in an argument.
std::string unescaped(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      result += text[i];
      continue;
    }
    const char next = i + 1 < text.size() ? text[++i] : '\0';
    switch (next) {
      case 'n':
        result += '\n';
        break;
      case 't':
        result += '\t';
        break;
      case 'r':
        result += '\r';
        break;
      case '\\':
        result += '\\';
        break;
      default:
        throw ConfigError("--split-documents", "knows only \\n, \\t, \\r and \\\\", text);
    }
  }
  return result;
}

/// One line on standard error: redrawn on a terminal, else anew every few seconds.
class ProgressLine {
 public:
  ProgressLine(std::int64_t total_bytes, bool quiet)
      : total_bytes_(total_bytes), quiet_(quiet), terminal_(::isatty(STDERR_FILENO) != 0) {}

  void show(const TokenizeProgress& progress) {
    if (first_bytes_ < 0) {
      // A resumed run did not do all of it.
      first_bytes_ = progress.resumed ? progress.summary.num_bytes : 0;
      if (progress.resumed && !quiet_) {
        std::fprintf(stderr, "going on where an interrupted run stopped\n");
      }
    }
    const auto now = Clock::now();
    if (quiet_ || now - shown_ < (terminal_ ? std::chrono::milliseconds(200) : kLineEvery)) {
      return;
    }
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - begin_).count();
    const double share = total_bytes_ > 0 ? static_cast<double>(progress.consumed_bytes) /
                                                static_cast<double>(total_bytes_)
                                          : 1.0;
    const auto done = static_cast<std::size_t>(share * 30.0);
    std::fprintf(
        stderr,
        "%s[%s%s] %3.0f %%  %s documents  %s tokens  %.1f MB/s%s",
        terminal_ ? "\r" : "",
        std::string(std::min<std::size_t>(done, 30), '=').c_str(),
        std::string(done < 30 ? 30 - done : 0, ' ').c_str(),
        100.0 * share,
        with_commas(progress.summary.num_documents).c_str(),
        with_commas(progress.summary.num_tokens).c_str(),
        static_cast<double>(progress.summary.num_bytes - first_bytes_) / 1e6 / seconds,
        terminal_ ? "  " : "\n");
    std::fflush(stderr);
    drawn_ = true;
  }

  void finish() const {
    if (drawn_ && terminal_) {
      std::fprintf(stderr, "\n");
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kLineEvery{5000};

  std::int64_t total_bytes_;
  bool quiet_, terminal_, drawn_ = false;
  Clock::time_point begin_ = Clock::now(), shown_ = begin_;
  std::int64_t first_bytes_ = -1;
};

void print_summary(const std::vector<fs::path>& outputs, const TokenizeSummary& summary) {
  for (const fs::path& output : outputs) {
    const TokenFile file(output);
    std::printf(
        "%s: %s documents, %s tokens (%s), tokenizer %s\n",
        output.c_str(),
        with_commas(file.num_documents()).c_str(),
        with_commas(file.num_tokens()).c_str(),
        std::string(dtype_name(file.dtype())).c_str(),
        file.info().tokenizer_kind.c_str());
  }
  std::printf(
      "read %s documents, %s bytes; dropped %s empty, %s duplicate, %s too short, %s too long\n",
      with_commas(summary.num_documents).c_str(),
      with_commas(summary.num_bytes).c_str(),
      with_commas(summary.num_empty).c_str(),
      with_commas(summary.num_duplicates).c_str(),
      with_commas(summary.num_too_short).c_str(),
      with_commas(summary.num_too_long).c_str());
  std::fputs(histogram_text({summary.histogram.begin(), summary.histogram.end()}).c_str(), stdout);
}

int run_tokenize(Arguments arguments) {
  TokenizeOptions& options = arguments.options;
  options.add_eos = !arguments.no_eos;
  options.corpus.separator = unescaped(arguments.separator);
  options.files = listed_files(arguments.inputs, options.corpus);
  if (options.holdout.empty() != (options.holdout_share == 0.0)) {
    throw ConfigError(
        "tokenize",
        "--holdout and --holdout-share (above 0) go together",
        options.holdout.empty() ? "no --holdout" : "a share of 0");
  }
  if (options.max_tokens && *options.max_tokens < options.min_tokens) {
    throw ConfigError(
        "--max-tokens",
        "must not be below --min-tokens " + std::to_string(options.min_tokens),
        std::to_string(*options.max_tokens));
  }
  refuse_input_as_output(options.files, options.output);
  refuse_input_as_output(options.files, options.holdout);
  const bool unfinished = fs::exists(options.output.string() + ".partial");
  for (const fs::path& output : {options.output, options.holdout}) {
    if (output.empty() || !fs::exists(output)) {
      continue;
    }
    if (!fs::is_regular_file(output)) {
      throw ConfigError(
          output.string(),
          "the output must be a file's name",
          fs::is_directory(output) ? "a folder" : "a device or pipe");
    }
    if (!arguments.overwrite && !unfinished) {
      throw ConfigError(
          output.string(), "the output must not exist yet", "a file", "--overwrite replaces it");
    }
  }
  std::int64_t total_bytes = 0;
  for (const fs::path& path : options.files) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    total_bytes += error ? 0 : static_cast<std::int64_t>(size);
  }
  const auto tokenizer = tokenizer_of(arguments.tokenizer);
  ProgressLine line(total_bytes, arguments.quiet);
  const TokenizeSummary summary = tokenize_corpus(
      options, *tokenizer, [&line](const TokenizeProgress& progress) { line.show(progress); });
  line.finish();
  std::vector<fs::path> outputs{options.output};
  if (!options.holdout.empty()) {
    outputs.push_back(options.holdout);
  }
  print_summary(outputs, summary);
  return 0;
}

} // namespace

void add_tokenize(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  TokenizeOptions& options = arguments->options;
  options.num_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));

  CLI::App* command = app.add_subcommand(
      "tokenize",
      "Texts to a token file.\n"
      "Killed at any moment and started again, it goes on (OUTPUT.partial) and ends in the same "
      "bytes.");
  add_corpus_options(*command, arguments->inputs, options.corpus)->required();
  command->add_option("-o,--output", options.output, "Token file to write")->required();
  command->add_option("--tokenizer", arguments->tokenizer, kTokenizerHelp)->capture_default_str();
  command->add_flag("--add-bos", options.add_bos, "Begin every document with BOS");
  command->add_flag("--no-eos", arguments->no_eos, "Do not end every document with EOS");
  command->add_option(
      "--split-documents",
      arguments->separator,
      "What stands between documents in text files, such as '\\n\\n\\n' (default: a file is one)");
  command
      ->add_option(
          "--min-tokens", options.min_tokens, "Drop shorter documents (BOS and EOS counted)")
      ->check(whole_number(0));
  command->add_option("--max-tokens", options.max_tokens, "Drop longer documents")
      ->check(whole_number(1));
  command->add_flag("--dedup", options.deduplicate, "Keep only the first of equal texts");
  command
      ->add_option(
          "--shuffle-seed", options.shuffle_seed, "Put documents in an order drawn from this seed")
      ->check(seed_number());
  command->add_option(
      "--holdout",
      options.holdout,
      "A second token file, for validation: the last documents go there");
  command
      ->add_option(
          "--holdout-share", options.holdout_share, "Their share of the documents, such as 0.01")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option(
          "--max-document-bytes",
          options.corpus.max_document_bytes,
          "Longest document or JSONL line, as 64MB, 1GB")
      ->transform(size_in_bytes(false))
      ->type_name("SIZE")
      ->default_str("256MB");
  command->add_flag(
      "--allow-invalid-utf8",
      options.corpus.allow_invalid_utf8,
      "Pass broken characters of text files on as they are");
  command->add_option("--threads", options.num_threads, "Threads that tokenize")
      ->check(whole_number(1, 4096))
      ->capture_default_str();
  command
      ->add_option(
          "--sync-bytes", options.sync_bytes, "Text between two points to go on from, as 64MB")
      ->transform(size_in_bytes(false))
      ->type_name("SIZE")
      ->default_str("64MB");
  command->add_flag("--overwrite", arguments->overwrite, "Replace the output if it exists");
  command->add_flag("--restart", options.restart, "Forget what an interrupted run left");
  command->add_flag("-q,--quiet", arguments->quiet, "No progress line");
  command->callback([arguments, &run] { run = [arguments] { return run_tokenize(*arguments); }; });
}

} // namespace fcc::tools
