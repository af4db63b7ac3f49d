// fcc-generate: continues a text with a model, token by token, at constant memory.

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ops/tensor.h>
#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "common/interrupt.h"
#include "common/program.h"
#include "common/torch/prefill.h"
#include "fcc/core/error.h"
#include "fcc/generate/sampler.h"
#include "fcc/generate/stream.h"
#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"

namespace {

struct Options {
  fcc::tools::ModelOptions model;
  std::string prompt, prompt_file, load_state, save_state;
  bool has_prompt = false;
  std::int64_t max_tokens = 256;
  fcc::SamplerOptions sampler;
  bool special = false, ignore_eos = false, hide_prompt = false, quiet = false;
};

void add_options(CLI::App& app, Options& options) {
  fcc::tools::add_model_options(app, options.model);
  fcc::tools::add_execution_option(app, options.model);
  auto* prompt = app.add_option("-p,--prompt", options.prompt, "The text to continue")
                     ->type_name("TEXT")
                     ->group("Text");
  app.add_option(
         "-f,--prompt-file",
         options.prompt_file,
         "Read it from a file; `-`, or neither option: from standard input")
      ->type_name("FILE")
      ->excludes(prompt)
      ->group("Text");
  app.add_option("-n,--max-tokens", options.max_tokens, "Tokens to generate, at most")
      ->capture_default_str()
      ->check(fcc::tools::whole_number(0))
      ->type_name("N")
      ->group("Text");
  app.add_flag(
         "--special",
         options.special,
         "Special tokens in the prompt, as <|im_start|>, are tokens; else they are plain text. For "
         "a "
         "chat template's text, not for text of strangers")
      ->group("Text");
  app.add_flag("--ignore-eos", options.ignore_eos, "Go on past the end-of-text token")
      ->group("Text");
  app.add_flag("--hide-prompt", options.hide_prompt, "Print only what is generated")->group("Text");
  app.add_flag("-q,--quiet", options.quiet, "No closing line on standard error")->group("Text");
  app.add_option("-t,--temperature", options.sampler.temperature, "0: always the likeliest token")
      ->capture_default_str()
      ->type_name("T")
      ->group("Drawing");
  app.add_option("--top-k", options.sampler.top_k, "Only the k likeliest tokens; 0: all")
      ->capture_default_str()
      ->type_name("K")
      ->group("Drawing");
  app.add_option(
         "--top-p", options.sampler.top_p, "Only the likeliest tokens that make up this share")
      ->capture_default_str()
      ->type_name("P")
      ->group("Drawing");
  app.add_option("--seed", options.sampler.seed, "Equal seeds draw equal texts")
      ->capture_default_str()
      ->check(fcc::tools::whole_number(0))
      ->type_name("N")
      ->group("Drawing");
  app.add_option(
         "--load-state",
         options.load_state,
         "Continue from a saved state (then the prompt may be left out)")
      ->type_name("FILE")
      ->group("State");
  app.add_option(
         "--save-state",
         options.save_state,
         "Save the state after the last token (also on Ctrl-C or SIGTERM)")
      ->type_name("FILE")
      ->group("State");
}

std::string read_prompt(const Options& options) {
  if (options.has_prompt) {
    return options.prompt;
  }
  if (!options.prompt_file.empty() && options.prompt_file != "-") {
    return fcc::read_file(options.prompt_file);
  }
  if (options.prompt_file.empty() && !options.load_state.empty()) {
    return {}; // goes on from the state alone
  }
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  fcc::check(std::ferror(stdout) == 0, "standard output", "must be writable");
}

// The ids of the only row, [1, t].
at::Tensor row_of(const std::vector<std::int32_t>& ids) {
  return at::tensor(std::vector<std::int64_t>(ids.begin(), ids.end()), at::kLong).unsqueeze(0);
}

// What the first new token's text joins on to: the last tokens before a state, in older files at
// least those of its open segment.
std::vector<std::int32_t> ids_before(const fcc::MemoryState& state) {
  const at::Tensor& known = state.last_ids.defined() ? state.last_ids : state.partial_ids;
  std::vector<std::int32_t> ids;
  if (known.defined()) {
    const at::Tensor row = known.to(at::kCPU).reshape({-1});
    for (std::int64_t i = 0; i < row.size(0); ++i) {
      ids.push_back(static_cast<std::int32_t>(row[i].item<std::int64_t>()));
    }
  }
  return ids;
}

// Leaves the last ids, more than any tokenizer looks back.
void keep_last(std::vector<std::int32_t>& ids) {
  constexpr std::ptrdiff_t kLastIds = 8;
  ids.erase(ids.begin(), ids.end() - std::min<std::ptrdiff_t>(kLastIds, std::ssize(ids)));
}

int generate(const Options& options) {
  const fcc::Sampler check_options(options.sampler); // before a model is read
  if (!options.save_state.empty()) {
    fcc::require_writable(options.save_state);
  }
  fcc::tools::Prefill prefill(options.model);
  const fcc::LoadedModel& model = prefill.model();
  fcc::SamplerOptions sampler_options = options.sampler;
  sampler_options.num_ids = model.tokenizer->vocab_size(); // rows beyond are padding
  const fcc::Sampler sampler(sampler_options);
  // It takes longer to hash a large model than to write a line with it.
  const bool needs_hash = !options.load_state.empty() || !options.save_state.empty();
  const std::string hash = needs_hash ? fcc::model_hash(model.parameters) : std::string();
  fcc::MemoryState start;
  if (!options.load_state.empty()) {
    start = fcc::load_memory_state(options.load_state, hash);
  }
  const std::string prompt = read_prompt(options);
  // A text that goes on has had its BOS.
  const auto special = options.special ? fcc::SpecialTokens::kParsed : fcc::SpecialTokens::kEscaped;
  const std::vector<std::int32_t> ids = options.load_state.empty()
                                            ? fcc::encode_prompt(model, prompt, special)
                                            : fcc::encode_text(model, prompt, special);
  fcc::StreamDecoder decoder(model.tokenizer);
  std::vector<std::int32_t> last_ids = ids_before(start);
  last_ids.insert(last_ids.end(), ids.begin(), ids.end());
  decoder.prime(last_ids);
  keep_last(last_ids);
  const at::Tensor row = row_of(ids);
  const std::int64_t done = prefill.run(row, start);
  fcc::TokenStream stream(model.config(), model.weights, 1, start);
  if (done < row.size(1)) {
    stream.prefill(row.slice(1, done));
  }
  if (!stream.has_logits()) {
    throw fcc::ConfigError(
        "prompt",
        options.load_state.empty() ? "must hold at least one token"
                                   : "must hold at least one token after this state",
        {},
        "give --prompt, --prompt-file, or a text on standard input");
  }
  if (!options.hide_prompt) {
    print(prompt);
  }

  fcc::tools::catch_interrupts("\nstopping after this token\n");
  const std::vector<std::int32_t> ends = model.tokenizer->end_ids();
  std::int64_t generated = 0;
  bool ended = false;
  while (generated < options.max_tokens && !fcc::tools::interrupted()) {
    const std::int32_t id = stream.draw(sampler);
    if (!options.ignore_eos && std::find(ends.begin(), ends.end(), id) != ends.end()) {
      ended = true;
      break;
    }
    print(decoder.push(id));
    stream.prefill(row_of({id}));
    last_ids.push_back(id);
    keep_last(last_ids);
    ++generated;
  }
  print(decoder.finish() + "\n");
  if (!options.save_state.empty()) {
    fcc::MemoryState state = stream.state();
    state.last_ids = row_of(last_ids);
    fcc::save_memory_state(state, options.save_state, hash);
  }
  if (!options.quiet) {
    std::fprintf(
        stderr,
        "%lld prompt tokens, %lld generated, %lld in all%s\n",
        static_cast<long long>(ids.size()),
        static_cast<long long>(generated),
        static_cast<long long>(stream.num_tokens()),
        fcc::tools::interrupted() ? " (interrupted)"
        : ended                   ? " (end of text)"
                                  : "");
  }
  const int signal = fcc::tools::interrupting_signal();
  return signal != 0 ? 128 + signal : 0;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Continues a text with a model and prints it as it comes. The memory needed does not grow "
      "with the text (except for plain Llama models, which keep all of it).\n\n"
      "  fcc-generate --model runs/book/final --prompt \"Once upon\" --temperature 0.8 --top-p "
      "0.9"};
  Options options;
  add_options(app, options);
  return fcc::tools::run_program(app, argc, argv, [&] {
    options.has_prompt = app.count("--prompt") > 0;
    return generate(options);
  });
}
