#include "fcc/generate/chat.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "fcc/core/error.h"

namespace fcc {
namespace {

// Bytes that no UTF-8 has: they stand around a message that must not be read for special tokens.
constexpr char kShieldBegin = '\xFE', kShieldEnd = '\xFF';
// Stands for an answer: what a template writes behind it is what ends it.
constexpr std::string_view kAnswer = "\x02the answer\x03";

} // namespace

ChatEncoder::ChatEncoder(
    std::shared_ptr<const Tokenizer> tokenizer,
    ChatTemplate chat_template,
    std::string system)
    : tokenizer_(std::move(tokenizer)),
      template_(std::move(chat_template)),
      system_(std::move(system)),
      end_ids_(tokenizer_->end_ids()) {
  const std::vector<std::int32_t> closing = encode(after_answer("a", true));
  const bool is_special =
      !closing.empty() && tokenizer_->decode(std::span(closing).first(1)).empty();
  if (is_special && std::find(end_ids_.begin(), end_ids_.end(), closing[0]) == end_ids_.end()) {
    end_ids_.push_back(closing[0]);
  }
}

std::vector<ChatMessage> ChatEncoder::beginning() const {
  return system_.empty() ? std::vector<ChatMessage>()
                         : std::vector<ChatMessage>{{"system", shielded(system_)}};
}

std::vector<std::int32_t> ChatEncoder::conversation(
    const std::vector<ChatMessage>& messages) const {
  const bool has_system = !messages.empty() && messages.front().role == "system";
  std::vector<ChatMessage> all = has_system ? std::vector<ChatMessage>() : beginning();
  for (const ChatMessage& message : messages) {
    all.push_back({message.role, shielded(message.content)});
  }
  return encode(template_.render(all));
}

std::vector<std::int32_t> ChatEncoder::first_turn(const std::string& user) const {
  return conversation({{"user", user}});
}

std::vector<std::int32_t> ChatEncoder::next_turn(const std::string& user) const {
  return encode(after_answer(shielded(user), true));
}

std::string ChatEncoder::after_answer(const std::string& user, bool answer_begins) const {
  std::vector<ChatMessage> messages = beginning();
  messages.push_back({"user", "a"});
  messages.push_back({"assistant", std::string(kAnswer)});
  messages.push_back({"user", user});
  const std::string text = template_.render(messages, answer_begins);
  const std::size_t at = text.find(kAnswer);
  if (at == std::string::npos) {
    throw FormatError("chat template", "must write an assistant's answer as it is");
  }
  return text.substr(at + kAnswer.size());
}

std::string ChatEncoder::shielded(const std::string& given) const {
  std::string text = given;
  std::replace(text.begin(), text.end(), kShieldBegin, '?');
  std::replace(text.begin(), text.end(), kShieldEnd, '?');
  std::vector<std::int32_t> parsed;
  tokenizer_->encode_with_special(text, parsed);
  if (parsed == tokenizer_->encode(text)) {
    return text; // nothing in it could be taken for a special token
  }
  constexpr std::string_view kWhite = " \t\n\r\f\v"; // outside, since templates trim it
  const std::size_t begin = text.find_first_not_of(kWhite);
  const std::size_t end = text.find_last_not_of(kWhite) + 1;
  return text.substr(0, begin) + kShieldBegin + text.substr(begin, end - begin) + kShieldEnd +
         text.substr(end);
}

std::vector<std::int32_t> ChatEncoder::encode(const std::string& rendered) const {
  std::vector<std::int32_t> ids;
  std::string_view rest = rendered;
  while (!rest.empty()) {
    const bool is_plain = rest.front() == kShieldBegin;
    rest.remove_prefix(is_plain ? 1 : 0);
    const std::string_view part =
        rest.substr(0, std::min(rest.find(is_plain ? kShieldEnd : kShieldBegin), rest.size()));
    if (is_plain) {
      tokenizer_->encode(part, ids);
    } else {
      tokenizer_->encode_with_special(part, ids);
    }
    rest.remove_prefix(std::min(part.size() + (is_plain ? 1 : 0), rest.size()));
  }
  return ids;
}

} // namespace fcc
