#include "fcc/config/describe_config.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace fcc {
namespace {

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", value);
  return text;
}

JsonValue number_json(double value) {
  return JsonValue(JsonValue::Number{value, number_text(value)});
}

JsonValue text_json(const char* text) {
  return JsonValue(std::string(text));
}

JsonValue any_of(JsonValue::Array choices) {
  JsonValue::Object schema;
  schema.emplace_back("anyOf", JsonValue(std::move(choices)));
  return JsonValue(std::move(schema));
}

/// An object that must have `name`, beside an optional `zero_share`.
JsonValue distribution_form(const char* name, JsonValue form) {
  JsonValue share = schema_of_type("number");
  annotate_schema(share, {.doc = "Probability of 0.", .min = 0, .max = 1}, JsonValue());
  JsonValue::Object properties;
  properties.emplace_back(name, std::move(form));
  properties.emplace_back("zero_share", std::move(share));
  return schema_of_object(std::move(properties), {text_json(name)});
}

/// Breaks `text` at spaces so that no line passes `width`; later lines begin with `indent` spaces.
std::string wrap(const std::string& text, std::size_t indent, std::size_t width) {
  std::string out(indent, ' ');
  std::size_t column = indent;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    const std::size_t length = end - start;
    if (column > indent && column + 1 + length > width) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out.append(text, start, length);
    column += length;
    start = end + 1;
  }
  return out + '\n';
}

} // namespace

std::string join(const std::vector<std::string>& parts, const char* separator) {
  std::string out;
  for (const std::string& part : parts) {
    out += out.empty() ? "" : separator;
    out += part;
  }
  return out;
}

void annotate_schema(JsonValue& schema, const Field& field, JsonValue default_value) {
  auto& object = *schema.as<JsonValue::Object>();
  object.emplace_back("description", JsonValue(std::string(field.doc)));
  if (const JsonValue* type = schema.find("type")) {
    const auto& name = *type->as<std::string>();
    if (name == "integer" || name == "number") {
      if (std::isfinite(field.min)) {
        object.emplace_back(
            field.above_min ? "exclusiveMinimum" : "minimum", number_json(field.min));
      }
      if (std::isfinite(field.max)) {
        object.emplace_back("maximum", number_json(field.max));
      }
    }
  }
  if (!default_value.is_null()) {
    object.emplace_back("default", std::move(default_value));
  }
}

JsonValue schema_of_type(const char* name) {
  JsonValue::Object schema;
  schema.emplace_back("type", text_json(name));
  return JsonValue(std::move(schema));
}

JsonValue schema_of_names(const std::vector<std::string>& names) {
  JsonValue schema = schema_of_type("string");
  JsonValue::Array list;
  for (const std::string& name : names) {
    list.emplace_back(name);
  }
  schema.as<JsonValue::Object>()->emplace_back("enum", JsonValue(std::move(list)));
  return schema;
}

JsonValue schema_of_list(JsonValue items) {
  JsonValue schema = schema_of_type("array");
  schema.as<JsonValue::Object>()->emplace_back("items", std::move(items));
  return schema;
}

JsonValue schema_or_null(JsonValue schema) {
  JsonValue::Array choices;
  choices.push_back(std::move(schema));
  choices.push_back(schema_of_type("null"));
  return any_of(std::move(choices));
}

JsonValue schema_of_distribution() {
  const JsonValue integer = schema_of_type("integer");
  const JsonValue list = schema_of_list(integer);
  JsonValue range = list;
  range.as<JsonValue::Object>()->emplace_back("minItems", JsonValue(std::int64_t{2}));
  range.as<JsonValue::Object>()->emplace_back("maxItems", JsonValue(std::int64_t{2}));
  JsonValue::Array choices{integer, list};
  choices.push_back(distribution_form("fixed", integer));
  choices.push_back(distribution_form("list", list));
  choices.push_back(distribution_form("uniform", range));
  choices.push_back(distribution_form("log_uniform", range));
  return any_of(std::move(choices));
}

JsonValue schema_of_object(JsonValue::Object properties, JsonValue::Array required) {
  JsonValue::Array comment;
  comment.push_back(schema_of_type("string"));
  comment.push_back(schema_of_list(schema_of_type("string")));
  properties.emplace_back("comment", any_of(std::move(comment)));
  JsonValue schema = schema_of_type("object");
  auto& object = *schema.as<JsonValue::Object>();
  object.emplace_back("properties", JsonValue(std::move(properties)));
  if (!required.empty()) {
    object.emplace_back("required", JsonValue(std::move(required)));
  }
  object.emplace_back("additionalProperties", JsonValue(false));
  return schema;
}

std::string help_text(const std::vector<ConfigKey>& keys, std::size_t width) {
  std::string out;
  for (const ConfigKey& key : keys) {
    std::vector<std::string> facts{key.type};
    if (!key.range.empty()) {
      facts.push_back(key.range);
    }
    if (key.required) {
      facts.emplace_back("must be given");
    } else if (!key.default_text.empty()) {
      facts.push_back("default " + key.default_text);
    }
    out += key.path + "\n";
    out += wrap(join(facts, "; "), 4, width);
    out += wrap(key.doc, 4, width);
  }
  return out;
}

} // namespace fcc
