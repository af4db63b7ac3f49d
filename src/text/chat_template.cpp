#include "fcc/text/chat_template.h"

#include <utility>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "text/template_evaluator.h"
#include "text/template_syntax.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

/// The text of the token under `key`: a string, or an object with `content`.
std::string token_text(const JsonValue& root, const char* key) {
  const JsonValue* value = root.find(key);
  const JsonValue* content = value == nullptr ? nullptr : value->find("content");
  const JsonValue* found = content == nullptr ? value : content;
  const auto* text = found == nullptr ? nullptr : found->as<std::string>();
  return text == nullptr ? std::string() : *text;
}

/// The template in a JSON file: a text, or of a list of named ones that called `default`.
std::optional<std::string> template_in(const JsonValue& root, const std::string& where) {
  const JsonValue* value = root.find("chat_template");
  if (value == nullptr || value->is_null()) {
    return std::nullopt;
  }
  if (const auto* text = value->as<std::string>()) {
    return *text;
  }
  if (const auto* list = value->as<JsonValue::Array>()) {
    for (const JsonValue& entry : *list) {
      const JsonValue* text = entry.find("template");
      if (token_text(entry, "name") == "default" && text != nullptr &&
          text->as<std::string>() != nullptr) {
        return *text->as<std::string>();
      }
    }
  }
  throw FormatError(where + ", chat_template", "must be a text, or a list with one named default");
}

} // namespace

struct ChatTemplate::Impl {
  std::vector<TemplateStatement> statements;
  std::string source, bos, eos;
};

ChatTemplate::ChatTemplate(
    const std::string& text,
    std::string source,
    std::string bos,
    std::string eos) {
  auto statements = parse_template(text, source);
  impl_ = std::make_unique<const Impl>(
      Impl{std::move(statements), std::move(source), std::move(bos), std::move(eos)});
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::optional<ChatTemplate> ChatTemplate::load(const fs::path& directory) {
  const fs::path config = directory / "tokenizer_config.json";
  const fs::path jinja = directory / "chat_template.jinja";
  std::optional<std::string> text;
  std::string bos, eos, source = jinja.string();
  if (fs::is_regular_file(jinja)) {
    text = read_tokenizer_file(jinja);
  }
  for (const fs::path& file : {config, directory / "special_tokens_map.json"}) {
    if (!fs::is_regular_file(file)) {
      continue;
    }
    const JsonValue root = parse_json_without_duplicates(read_tokenizer_file(file), file.string());
    bos = bos.empty() ? token_text(root, "bos_token") : bos;
    eos = eos.empty() ? token_text(root, "eos_token") : eos;
    if (!text && file == config) {
      text = template_in(root, file.string());
      source = file.string() + ", chat_template";
    }
  }
  if (!text) {
    return std::nullopt;
  }
  return ChatTemplate(*text, source, std::move(bos), std::move(eos));
}

std::string ChatTemplate::render(
    const std::vector<ChatMessage>& messages,
    bool answer_begins,
    std::time_t now) const {
  JsonValue::Array list;
  for (const ChatMessage& message : messages) {
    JsonValue::Object object;
    object.emplace_back("role", JsonValue(message.role));
    object.emplace_back("content", JsonValue(message.content));
    list.emplace_back(JsonValue::Variant(std::move(object)));
  }
  std::map<std::string, TemplateValue> variables;
  variables["messages"] = JsonValue(JsonValue::Variant(std::move(list)));
  variables["add_generation_prompt"] = JsonValue(JsonValue::Variant(answer_begins));
  // As transformers call it without tools and documents.
  variables["tools"] = variables["documents"] = JsonValue();
  if (!impl_->bos.empty()) {
    variables["bos_token"] = JsonValue(impl_->bos);
  }
  if (!impl_->eos.empty()) {
    variables["eos_token"] = JsonValue(impl_->eos);
  }
  return TemplateEvaluator(std::move(variables), now, impl_->source).run(impl_->statements);
}

} // namespace fcc
