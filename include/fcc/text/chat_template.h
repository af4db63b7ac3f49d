#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fcc {

/// One turn of a conversation.
struct ChatMessage {
  std::string role;    ///< `system`, `user`, `assistant`
  std::string content; ///< UTF-8
};

/// The chat template of a tokenizer: how a conversation is written as one text.
///
/// Templates are programs in Jinja. What the families ChatML (Qwen, SmolLM …) and Llama-3 use of
/// the language is run as Hugging Face transformers run it; anything else is refused by name, never
/// guessed. Immutable.
class ChatTemplate {
 public:
  /// `source` names the template in errors; `bos` and `eos` are the texts of those tokens.
  /// Errors: `FormatError` with the line, where the text is no template that can be run here.
  ChatTemplate(
      const std::string& text,
      std::string source,
      std::string bos = {},
      std::string eos = {});
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// The template of a tokenizer's directory (`chat_template.jinja`, else `chat_template` in
  /// `tokenizer_config.json`: its text, or the one named `default`). Absent: it has none.
  /// Errors: `FormatError`, `IoError`.
  static std::optional<ChatTemplate> load(const std::filesystem::path& directory);

  /// The text of `messages`, and of the beginning of an answer if `answer_begins`. `now`: the time
  /// of which templates that ask for it write the day. Errors: `ConfigError` with the template's
  /// own words where it refuses the messages; `FormatError` where it needs what is not there.
  std::string render(
      const std::vector<ChatMessage>& messages,
      bool answer_begins = true,
      std::time_t now = std::time(nullptr)) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

} // namespace fcc
