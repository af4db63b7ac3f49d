#include "fcc/text/chat_template.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

constexpr std::time_t kNoon = 1893844800; // 5 January 2030

std::string text_of(const JsonValue& object, const char* key) {
  const JsonValue* value = object.find(key);
  return value == nullptr ? std::string() : *value->as<std::string>();
}

std::vector<ChatMessage> messages_of(const JsonValue& list) {
  std::vector<ChatMessage> messages;
  for (const JsonValue& message : *list.as<JsonValue::Array>()) {
    messages.push_back({text_of(message, "role"), text_of(message, "content")});
  }
  return messages;
}

std::string render(const std::string& text) {
  return ChatTemplate(text, "t").render({{"user", "Hi"}});
}

TEST(ChatTemplate, WritesWhatJinjaWrites) {
  const std::string file = source_dir() + "/tests/text/data/chat_templates.json";
  const JsonValue cases = parse_json_without_duplicates(read_file(file), file);
  ASSERT_GT(cases.as<JsonValue::Array>()->size(), 30U);
  for (const JsonValue& one : *cases.as<JsonValue::Array>()) {
    const std::string source = text_of(one, "template");
    const ChatTemplate chat(source, "t", "<s>", "</s>");
    const auto messages = messages_of(*one.find("messages"));
    const bool begins = *one.find("answer_begins")->as<bool>();
    if (one.find("refused") != nullptr) {
      try {
        static_cast<void>(chat.render(messages, begins, kNoon));
        ADD_FAILURE() << "not refused: " << source;
      } catch (const ConfigError& error) {
        EXPECT_EQ(error.value(), text_of(one, "refused"));
      }
    } else {
      EXPECT_EQ(chat.render(messages, begins, kNoon), text_of(one, "text")) << source;
    }
  }
}

TEST(ChatTemplate, RefusesByNameWhatItCannotRun) {
  const auto refused = [](const std::string& text, const std::string& what) {
    try {
      render(text);
      ADD_FAILURE() << "not refused: " << text;
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  };
  refused("{% macro f() %}{% endmacro %}", "macro");
  refused("\n\n{% include 'x' %}", "line 3");
  refused("{{ messages | tojson }}", "tojson");
  refused("{{ cycler() }}", "cycler");
  refused("{{ messages }}", "a list");
  refused("{{ 'a'.join(['b']) }}", "join");
  refused("{{ 1 is divisibleby(1) }}", "divisibleby");
  refused("{{ nothing.part }}", "part");
  refused("{{ 'a' + 1 }}", "two of a kind");
  refused("{{ 9223372036854775807 + 1 }}", "two of a kind");
  refused("{{ 1 // 0 }}", "two of a kind");
  refused("{{ 1.5 }}", "whole numbers");
  for (const std::string broken :
       {"{{",
        "{{ 'a",
        "{% if true %}",
        "{% endif %}",
        "{% for x %}",
        "{{ }}",
        "{# a",
        "{{ [1 }}",
        "{{ (1 }}",
        "{% else %}",
        "{{ f(a=1, 2) }}",
        "{%",
        "{{ a[ }}",
        "{% set %}",
        "{{ '\\q' }}"}) {
    EXPECT_THROW(render(broken), FormatError) << broken;
  }
}

TEST(ChatTemplate, ATemplateOfAStrangerTakesNeitherTheStackNorTheDay) {
  const auto repeated = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) {
      all += text;
    }
    return all;
  };
  EXPECT_THROW(render("{{ " + repeated("(", 100000) + " }}"), FormatError);
  EXPECT_THROW(render("{{ " + repeated("not ", 100000) + "1 }}"), FormatError);
  EXPECT_THROW(render("{{ 1" + repeated(" + 1", 100000) + " }}"), FormatError);
  EXPECT_THROW(render("{{ a" + repeated(".a", 100000) + " }}"), FormatError);
  EXPECT_THROW(render(repeated("{% if 1 %}", 100000)), FormatError);
  EXPECT_THROW(render("{% if 0 %}" + repeated("{% elif 0 %}", 80000) + "{% endif %}"), FormatError);
  const std::string list = "[" + repeated("1,", 400) + "]";
  EXPECT_THROW(
      render(repeated("{% for x in " + list + " %}", 4) + "a" + repeated("{% endfor %}", 4)),
      FormatError);
  EXPECT_THROW(
      render("{% set a = 'aaaaaaaaaaaaaaaa' %}" + repeated("{% set a = a + a %}", 40) + "{{ a }}"),
      FormatError);
  EXPECT_THROW(render(std::string(2 << 20, 'a')), FormatError);
}

TEST(ChatTemplate, LiesWhereTransformersPutIt) {
  const TemporaryDirectory temporary;
  const std::filesystem::path& folder = temporary.path();
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
  };
  EXPECT_FALSE(ChatTemplate::load(folder).has_value());
  write("tokenizer_config.json", R"({"bos_token": {"content": "<b>"}})");
  EXPECT_FALSE(ChatTemplate::load(folder).has_value());
  const auto loaded = [&] { return ChatTemplate::load(folder)->render({{"user", "Hi"}}); };
  write("tokenizer_config.json", R"({"bos_token": {"content": "<b>"}, "chat_template":
      [{"name": "tools", "template": "no"}, {"name": "default", "template": "{{ bos_token }}1"}]})");
  EXPECT_EQ(loaded(), "<b>1");
  write("tokenizer_config.json", R"({"bos_token": "<c>", "chat_template": "{{ bos_token }}2"})");
  EXPECT_EQ(loaded(), "<c>2");
  write("chat_template.jinja", "{{ bos_token }}3");
  EXPECT_EQ(loaded(), "<c>3");
  std::filesystem::remove(folder / "chat_template.jinja");
  write("tokenizer_config.json", R"({"chat_template": 7})");
  EXPECT_THROW(ChatTemplate::load(folder), FormatError);
}

} // namespace
} // namespace fcc
