#include "fcc/data/passkey.h"

#include <cstdio>
#include <filesystem>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/data/token_spool.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/text/tokenizer.h"
#include "fcc_data/commands.h"

namespace fcc::tools {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string output;
  std::string tokenizer = "bytes";
  DatasetConfig task;
  std::int64_t count = 100, length = 1024;
  std::uint64_t seed = 0;
  bool add_bos = false, no_eos = false;
};

/// Calls use(sample, depth) for each sample.
template <typename Use>
void make_samples(const Arguments& arguments, const PasskeyTask& task, Use use) {
  for (std::int64_t i = 0; i < arguments.count; ++i) {
    // A stream beside that of the digits, which is (seed, index).
    Random random(~arguments.seed, static_cast<std::uint64_t>(i));
    const double depth = arguments.task.depth ? *arguments.task.depth : random.uniform();
    use(make_passkey(task, arguments.length, depth, arguments.seed, i), depth);
  }
}

void write_jsonl(const Arguments& arguments, const PasskeyTask& task) {
  AtomicFile file(arguments.output);
  make_samples(arguments, task, [&](const PasskeySample& sample, double depth) {
    const nlohmann::ordered_json line{
        {"prompt", task.tokenizer().decode(sample.prompt)},
        {"answer", task.tokenizer().decode(sample.answer)},
        {"digits", sample.digits},
        {"depth", depth},
        {"num_tokens", arguments.length}};
    file.write(line.dump() + "\n");
  });
  file.commit();
}

void write_token_file(const Arguments& arguments, const PasskeyTask& task) {
  const AtomicDirectory scratch(arguments.output + ".samples"); // goes with the object
  TokenSpool spool(scratch.path(), task.tokenizer().vocab_size(), {});
  const auto eos =
      arguments.no_eos ? std::nullopt : std::optional(required_eos(task.tokenizer(), "passkey"));
  make_samples(arguments, task, [&](const PasskeySample& sample, double) {
    std::vector<std::int32_t> ids = sample.prompt;
    ids.insert(ids.end(), sample.answer.begin(), sample.answer.end());
    if (eos) {
      ids.push_back(*eos);
    }
    spool.append(ids);
  });
  spool.write_token_file(
      arguments.output, token_file_info(task.tokenizer(), arguments.add_bos, !arguments.no_eos));
}

int run_passkey(const Arguments& arguments) {
  const PasskeyTask task(arguments.task, tokenizer_of(arguments.tokenizer), arguments.add_bos);
  const std::string extension = fs::path(arguments.output).extension().string();
  if (extension == ".jsonl") {
    write_jsonl(arguments, task);
  } else if (extension == ".safetensors") {
    write_token_file(arguments, task);
  } else {
    throw ConfigError("--output", "must end in .jsonl or .safetensors", arguments.output);
  }
  std::printf(
      "%s: %s samples of %s tokens\n",
      arguments.output.c_str(),
      with_commas(arguments.count).c_str(),
      with_commas(arguments.length).c_str());
  return 0;
}

} // namespace

void add_passkey(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "passkey",
      "Samples of the passkey task (arXiv 2405.04620, appendix C).\n"
      "fcc-train and fcc-eval make their own as they go; this writes them down for others.");
  command
      ->add_option(
          "-o,--output",
          arguments->output,
          "FILE.jsonl (prompt, answer, digits, depth) or FILE.safetensors (a token file, EOS "
          "behind "
          "each sample)")
      ->required();
  command->add_option("--tokenizer", arguments->tokenizer, kTokenizerHelp)->capture_default_str();
  command->add_option("--count", arguments->count, "Samples")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_option("--length", arguments->length, "Tokens of a sample, the answer included")
      ->check(whole_number(1))
      ->capture_default_str();
  command
      ->add_option(
          "--depth",
          arguments->task.depth,
          "Place of the needle in the filler, 0..1 (default: drawn)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--digits", arguments->task.digits, "Digits of the key, 1 to 18")
      ->check(whole_number(1, 18))
      ->capture_default_str();
  command->add_option("--seed", arguments->seed, "Other samples")
      ->check(seed_number())
      ->capture_default_str();
  command->add_flag("--add-bos", arguments->add_bos, "Begin every sample with BOS");
  command->add_flag("--no-eos", arguments->no_eos, "Do not end samples of a token file with EOS");
  command->callback([arguments, &run] { run = [arguments] { return run_passkey(*arguments); }; });
}

} // namespace fcc::tools
