#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fcc/text/chat_template.h"
#include "fcc/text/tokenizer.h"

namespace fcc {

/// The turns of a conversation as token ids, for a model whose state carries what was said before:
/// each turn is encoded once, and nothing is read twice.
///
/// The template's special tokens are ids; the same texts in a message are plain text. Where
/// messages hold none, the ids are those of transformers' `apply_chat_template`.
class ChatEncoder {
 public:
  /// `system`: the system message that a conversation begins with; empty: none is given (the
  /// template may have its own).
  ChatEncoder(
      std::shared_ptr<const Tokenizer> tokenizer,
      ChatTemplate chat_template,
      std::string system = {});

  /// A whole conversation, and the beginning of the answer. Errors: those of
  /// `ChatTemplate::render`.
  std::vector<std::int32_t> conversation(const std::vector<ChatMessage>& messages) const;

  /// What the user says first, or after an answer, which this ends: its end-of-turn token was drawn
  /// perhaps, but not fed. Errors: as `conversation`; `FormatError` where the template does not
  /// write an answer as it is.
  std::vector<std::int32_t> first_turn(const std::string& user) const;
  std::vector<std::int32_t> next_turn(const std::string& user) const;

  /// Where an answer ends: the tokenizer's own, and the token that the template writes behind an
  /// answer.
  const std::vector<std::int32_t>& end_ids() const {
    return end_ids_;
  }

 private:
  std::vector<ChatMessage> beginning() const;
  std::string after_answer(const std::string& user, bool answer_begins) const;
  std::string shielded(const std::string& given) const;
  std::vector<std::int32_t> encode(const std::string& rendered) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  ChatTemplate template_;
  std::string system_;
  std::vector<std::int32_t> end_ids_;
};

} // namespace fcc
