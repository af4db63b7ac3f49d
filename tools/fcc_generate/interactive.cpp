#include "fcc_generate/interactive.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <map>
#include <optional>
#include <string>

#include "common/interrupt.h"
#include "fcc/core/error.h"
#include "fcc/model/hugging_face.h"
#include "fcc_generate/line_reader.h"
#include "fcc_generate/speaker.h"

namespace fcc::tools {
namespace {

constexpr const char* kHelp =
    "  TEXT           say it (a line that ends in \\ goes on in the next; //x says /x)\n"
    "  /save FILE     save the state: --load-state or /load goes on from it\n"
    "  /load FILE     go on from a saved state instead\n"
    "  /fork [NAME]   a second conversation from here on; this one stays as it is\n"
    "  /switch [NAME] go on with another conversation; without a name: list them\n"
    "  /new           begin from nothing\n"
    "  /quit          leave (also Ctrl-D); Ctrl-C ends an answer\n";

class Conversation {
 public:
  Conversation(const GenerateOptions& options, Prefill& prefill)
      : options_(options),
        prefill_(prefill),
        chat_(options.plain ? std::nullopt : find_chat(options, prefill.model())),
        speaker_(options, prefill, chat_ ? chat_->end_ids() : prefill.model().tokenizer->end_ids()),
        at_terminal_(::isatty(STDIN_FILENO) == 1) {
    if (!options.load_state.empty()) {
      load(options.load_state);
    }
  }

  int run() {
    if (!options_.quiet) {
      std::fprintf(
          stderr,
          "%s; reading lines from standard input, /help lists commands\n",
          chat_ ? "a chat" : "no chat template: the model goes on with what is typed");
    }
    LineReader reader;
    for (;;) {
      catch_interrupts("\n(/quit or Ctrl-D leaves)\n");
      show_mark();
      const auto line = reader.next([&] { return stays(); });
      if (!line || *line == "/quit" || *line == "/exit") {
        break;
      }
      try {
        take(*line);
      } catch (const Error& error) { // a mistake of the user loses nothing
        std::fprintf(stderr, "error: %s\n", error.what());
      }
      if (interrupted() && !stays()) {
        break;
      }
    }
    if (!options_.save_state.empty()) {
      save(options_.save_state);
    }
    const int signal = interrupting_signal();
    return signal != 0 ? 128 + signal : 0;
  }

 private:
  static std::optional<ChatEncoder> find_chat(
      const GenerateOptions& options,
      const LoadedModel& model) {
    const bool needed = options.chat || !options.system.empty();
    return needed ? required_chat_encoder(options, model) : chat_encoder(options, model);
  }

  /// Whether to go on after a signal: Ctrl-C ends no more than an answer.
  bool stays() {
    if (interrupting_signal() != SIGINT) {
      return false;
    }
    forget_interrupt();
    show_mark();
    return true;
  }

  void show_mark() const {
    if (at_terminal_) {
      std::fprintf(stderr, "%s> ", name_.c_str());
    }
  }

  void take(const std::string& line) {
    if (!line.starts_with('/')) {
      return say(line);
    }
    if (line.starts_with("//")) {
      return say(line.substr(1));
    }
    const std::size_t space = line.find(' ');
    const std::string command = line.substr(0, space);
    const std::size_t begin = line.find_first_not_of(' ', space);
    const std::string argument = begin == std::string::npos
                                     ? ""
                                     : line.substr(begin, line.find_last_not_of(' ') + 1 - begin);
    if (command == "/help") {
      std::fputs(kHelp, stderr);
    } else if (command == "/save" || command == "/load") {
      if (argument.empty()) {
        throw ConfigError(command, "needs a file's name");
      }
      command == "/save" ? save(argument) : load(argument);
    } else if (command == "/fork") {
      fork(argument);
    } else if (command == "/switch") {
      change_to(argument);
    } else if (command == "/new") {
      speaker_.restart({});
    } else {
      throw ConfigError(command, "is no command", {}, "/help lists them");
    }
  }

  void say(const std::string& text) {
    if (text.empty()) {
      return;
    }
    const LoadedModel& model = prefill_.model();
    const bool first = speaker_.num_tokens() == 0;
    const auto ids = chat_   ? (first ? chat_->first_turn(text) : chat_->next_turn(text))
                     : first ? encode_prompt(model, text)
                             : encode_text(model, text);
    catch_interrupts("\n");
    speaker_.read(ids);
    speaker_.answer(print);
    print("\n");
  }

  const std::string& hash() {
    if (hash_.empty()) {
      hash_ = model_hash(prefill_.model().parameters);
    }
    return hash_;
  }

  void note(const std::string& text) const {
    if (!options_.quiet) {
      std::fprintf(
          stderr,
          "%s (%lld tokens)\n",
          text.c_str(),
          static_cast<long long>(speaker_.num_tokens()));
    }
  }

  void save(const std::string& file) {
    save_memory_state(speaker_.state(), file, hash());
    note("saved " + file);
  }

  void load(const std::string& file) {
    speaker_.restart(load_memory_state(file, hash()));
    note("loaded " + file);
  }

  void fork(std::string name) {
    for (std::size_t i = 2; name.empty(); ++i) {
      const std::string free = std::to_string(i);
      name = free == name_ || others_.contains(free) ? "" : free;
    }
    if (name == name_ || others_.contains(name)) {
      throw ConfigError("/fork", "needs a name that is free", name);
    }
    others_[name_] = speaker_.state();
    const std::string former = std::exchange(name_, name);
    note("in " + name_ + " now; /switch " + former + " goes back");
  }

  void change_to(const std::string& name) {
    if (name.empty()) {
      std::string names = name_ + " (here)";
      for (const auto& [other, state] : others_) {
        names += ", " + other;
      }
      std::fprintf(stderr, "%s\n", names.c_str());
      return;
    }
    const auto found = others_.find(name);
    if (found == others_.end()) {
      throw ConfigError("/switch", "needs the name of another conversation", name);
    }
    const MemoryState state = found->second;
    others_.erase(found);
    others_[name_] = speaker_.state();
    name_ = name;
    speaker_.restart(state);
    note("in " + name_);
  }

  const GenerateOptions& options_;
  Prefill& prefill_;
  std::optional<ChatEncoder> chat_;
  Speaker speaker_;
  bool at_terminal_;
  std::string name_ = "1", hash_;
  std::map<std::string, MemoryState> others_; ///< by name
};

} // namespace

int converse(const GenerateOptions& options, Prefill& prefill) {
  return Conversation(options, prefill).run();
}

} // namespace fcc::tools
