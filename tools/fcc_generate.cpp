// fcc-generate: continues a text with a model, token by token, at constant memory.

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/interrupt.h"
#include "common/program.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"
#include "fcc_generate/interactive.h"
#include "fcc_generate/options.h"
#include "fcc_generate/prompts.h"
#include "fcc_generate/speaker.h"

namespace {

using fcc::tools::GenerateOptions;
using fcc::tools::Speaker;

std::string read_prompt(const GenerateOptions& options) {
  if (options.has_prompt) {
    return options.prompt;
  }
  if (!options.prompt_file.empty() && options.prompt_file != "-") {
    return fcc::read_file(options.prompt_file);
  }
  if (options.prompt_file.empty() && !options.load_state.empty()) {
    return {}; // goes on from the state alone
  }
  if (::isatty(STDIN_FILENO) == 1) {
    std::fputs("reading the prompt from standard input; Ctrl-D ends it\n", stderr);
  }
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

std::vector<std::int32_t> prompt_ids(
    const GenerateOptions& options,
    const fcc::LoadedModel& model,
    const std::optional<fcc::ChatEncoder>& chat,
    const std::string& prompt,
    bool goes_on) {
  if (chat) {
    return goes_on ? chat->next_turn(prompt) : chat->first_turn(prompt);
  }
  // A text that goes on has had its BOS.
  const auto special = options.special ? fcc::SpecialTokens::kParsed : fcc::SpecialTokens::kEscaped;
  return goes_on ? fcc::encode_text(model, prompt, special)
                 : fcc::encode_prompt(model, prompt, special);
}

int generate_one(const GenerateOptions& options, fcc::tools::Prefill& prefill) {
  const fcc::LoadedModel& model = prefill.model();
  std::optional<fcc::ChatEncoder> chat;
  if (options.chat) {
    chat.emplace(fcc::tools::required_chat_encoder(options, model));
  }
  // It takes longer to hash a large model than to write a line with it.
  const bool needs_hash = !options.load_state.empty() || !options.save_state.empty();
  const std::string hash = needs_hash ? fcc::model_hash(model.parameters) : std::string();
  Speaker speaker(options, prefill, chat ? chat->end_ids() : model.tokenizer->end_ids());
  const bool goes_on = !options.load_state.empty();
  if (goes_on) {
    speaker.restart(fcc::load_memory_state(options.load_state, hash));
  }
  const std::string prompt = read_prompt(options);
  const bool says_nothing = chat && goes_on && prompt.empty(); // an answer that was cut goes on
  const std::vector<std::int32_t> ids = says_nothing
                                            ? std::vector<std::int32_t>()
                                            : prompt_ids(options, model, chat, prompt, goes_on);
  speaker.read(ids);
  if (!speaker.can_answer()) {
    throw fcc::ConfigError(
        "prompt",
        goes_on ? "must hold at least one token after this state" : "must hold at least one token",
        {},
        "give --prompt, --prompt-file, or a text on standard input");
  }
  if (!options.hide_prompt && !options.chat) {
    fcc::tools::print(prompt);
  }
  fcc::tools::catch_interrupts("\nstopping after this token\n");
  const Speaker::End end = speaker.answer(fcc::tools::print);
  fcc::tools::print("\n");
  if (!options.save_state.empty()) {
    fcc::save_memory_state(speaker.state(), options.save_state, hash);
  }
  if (!options.quiet) {
    std::fprintf(
        stderr,
        "%lld prompt tokens, %lld generated, %lld in all%s\n",
        static_cast<long long>(ids.size()),
        static_cast<long long>(speaker.num_generated()),
        static_cast<long long>(speaker.num_tokens()),
        end == Speaker::End::kInterrupt   ? " (interrupted)"
        : end == Speaker::End::kEndOfText ? " (end of text)"
                                          : "");
  }
  const int signal = fcc::tools::interrupting_signal();
  return signal != 0 ? 128 + signal : 0;
}

int generate(const GenerateOptions& options) {
  const fcc::Sampler check_options(options.sampler); // before a model is read
  for (const std::string& file : {options.save_state, options.output}) {
    if (!file.empty()) {
      fcc::require_writable(file);
    }
  }
  fcc::tools::Prefill prefill(options.model);
  if (options.interactive) {
    return fcc::tools::converse(options, prefill);
  }
  if (!options.prompts.empty()) {
    return fcc::tools::answer_prompts(options, prefill);
  }
  return generate_one(options, prefill);
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Continues a text with a model and prints it as it comes. The memory needed does not grow "
      "with the text (except for plain Llama models, which keep all of it).\n\n"
      "  fcc-generate --model runs/book/final --prompt \"Once upon\" --temperature 0.8 --top-p "
      "0.9\n"
      "  fcc-generate --model runs/chat/final --interactive"};
  GenerateOptions options;
  fcc::tools::add_generate_options(app, options);
  return fcc::tools::run_program(app, argc, argv, [&] {
    fcc::tools::complete_options(app, options);
    return generate(options);
  });
}
