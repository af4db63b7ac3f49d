#include "fcc_generate/options.h"

#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "fcc/core/error.h"

namespace fcc::tools {
namespace {

constexpr double kChatTemperature = 0.8;
constexpr std::int64_t kChatTokens = 1024;

void add_text_options(CLI::App& app, GenerateOptions& options) {
  auto* prompt = app.add_option("-p,--prompt", options.prompt, "The text to continue")
                     ->type_name("TEXT")
                     ->group("Text");
  auto* file = app.add_option(
                      "-f,--prompt-file",
                      options.prompt_file,
                      "Read it from a file; `-`, or neither option: from standard input")
                   ->type_name("FILE")
                   ->excludes(prompt)
                   ->group("Text");
  auto* prompts =
      app.add_option(
             "--prompts",
             options.prompts,
             "Continue many: a JSON object a line with `prompt`, or `messages` for the chat "
             "template; answers as JSON lines `index`, `id` (if given), `text`, `prompt_tokens`, "
             "`generated_tokens`, `end` (`eos` or `length`), in the order of the prompts")
          ->type_name("FILE.jsonl")
          ->excludes(prompt)
          ->excludes(file)
          ->group("Text");
  app.add_option("-o,--output", options.output, "Where the answers to --prompts go, not to stdout")
      ->type_name("FILE.jsonl")
      ->needs(prompts)
      ->group("Text");
  app.add_option(
         "--batch-size",
         options.batch_size,
         "Prompts at a time, of those that are equally long in tokens")
      ->capture_default_str()
      ->check(whole_number(1, 4096))
      ->needs(prompts)
      ->type_name("N")
      ->group("Text");
  app.add_option("-n,--max-tokens", options.max_tokens, "Tokens to generate, at most (chat: 1024)")
      ->capture_default_str()
      ->check(whole_number(0))
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
}

void add_chat_options(CLI::App& app, GenerateOptions& options) {
  auto* interactive =
      app.add_flag(
             "-i,--interactive",
             options.interactive,
             "A conversation by lines of standard input, its state kept between turns; `/help` "
             "lists what else can be typed")
          ->excludes("--prompt")
          ->excludes("--prompt-file")
          ->excludes("--prompts")
          ->group("Chat");
  auto* chat = app.add_flag(
                      "--chat",
                      options.chat,
                      "The prompt is what a user says: the tokenizer's chat template is put around "
                      "it, the answer alone is printed. --interactive does so where there is one")
                   ->excludes("--special")
                   ->group("Chat");
  app.add_flag(
         "--plain",
         options.plain,
         "In --interactive: no template, the model goes on with the lines as they are")
      ->needs(interactive)
      ->excludes(chat)
      ->group("Chat");
  app.add_option("--system", options.system, "The system message of a chat")
      ->type_name("TEXT")
      ->group("Chat");
}

void add_drawing_options(CLI::App& app, GenerateOptions& options) {
  app.add_option(
         "-t,--temperature",
         options.sampler.temperature,
         "0: always the likeliest token (chat: 0.8 unless given)")
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
      ->check(seed_number())
      ->capture_default_str()
      ->check(whole_number(0))
      ->type_name("N")
      ->group("Drawing");
}

} // namespace

void add_generate_options(CLI::App& app, GenerateOptions& options) {
  add_model_options(app, options.model);
  add_execution_option(app, options.model);
  add_text_options(app, options);
  add_chat_options(app, options);
  add_drawing_options(app, options);
  for (const char* name : {"--load-state", "--save-state"}) {
    const bool load = std::string(name) == "--load-state";
    app.add_option(
           name,
           load ? options.load_state : options.save_state,
           load ? "Continue from a saved state (then the prompt may be left out)"
                : "Save the state after the last token (also on Ctrl-C or SIGTERM)")
        ->type_name("FILE")
        ->excludes("--prompts")
        ->group("State");
  }
}

void complete_options(const CLI::App& app, GenerateOptions& options) {
  options.has_prompt = app.count("--prompt") > 0;
  if (options.chat || options.interactive) {
    options.sampler.temperature =
        app.count("--temperature") > 0 ? options.sampler.temperature : kChatTemperature;
    options.max_tokens = app.count("--max-tokens") > 0 ? options.max_tokens : kChatTokens;
  } else if (!options.system.empty()) {
    throw ConfigError("--system", "needs a chat", {}, "add --chat or --interactive");
  }
}

} // namespace fcc::tools
