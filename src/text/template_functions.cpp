#include "text/template_functions.h"

#include <algorithm>

#include "fcc/core/error.h"

namespace fcc {
namespace {

using Array = JsonValue::Array;
using Object = JsonValue::Object;

constexpr std::string_view kWhite = " \t\n\r\f\v";

JsonValue json(JsonValue::Variant value) {
  return JsonValue(std::move(value));
}

template <typename T>
const T* as(const TemplateValue& value) {
  return value ? value->as<T>() : nullptr;
}

const std::string&
text_of(const TemplateValue& value, const std::string& what, const std::string& source) {
  const auto* text = as<std::string>(value);
  if (text == nullptr) {
    throw FormatError(
        source,
        "a template needs a text for " + what,
        value ? std::string(json_type_name(*value)) : "nothing");
  }
  return *text;
}

std::string stripped(std::string_view text, std::string_view bytes, bool left, bool right) {
  if (left) {
    text.remove_prefix(std::min(text.find_first_not_of(bytes), text.size()));
  }
  if (right) {
    text = text.substr(0, text.find_last_not_of(bytes) + 1);
  }
  return std::string(text);
}

std::string cased(std::string text, bool upper) {
  for (char& c : text) {
    if (upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c ^ 0x20);
    }
  }
  return text;
}

std::string replaced(
    const std::string& text,
    const std::string& from,
    const std::string& to,
    const std::string& source) {
  std::string result;
  std::size_t at = 0;
  for (std::size_t found = 0; !from.empty() && (found = text.find(from, at)) != std::string::npos;
       at = found + from.size()) {
    result = checked_text(std::move(result) + text.substr(at, found - at) + to, source);
  }
  return result + text.substr(at);
}

JsonValue split(const std::string& text, const std::string& by) {
  Array parts;
  std::size_t at = 0;
  for (std::size_t found = 0; !by.empty() && (found = text.find(by, at)) != std::string::npos;
       at = found + by.size()) {
    parts.push_back(json(text.substr(at, found - at)));
  }
  parts.push_back(json(text.substr(at)));
  return json(std::move(parts));
}

JsonValue items(const Object& object) {
  Array pairs;
  for (const JsonMember& member : object) {
    pairs.push_back(json(Array{json(member.key), member.value}));
  }
  return json(std::move(pairs));
}

/// Characters of a text, elements of a list, members of a dict.
std::int64_t length_of(const TemplateValue& value, const std::string& source) {
  if (const auto* text = as<std::string>(value)) {
    return std::count_if(text->begin(), text->end(), [](char c) { return (c & 0xC0) != 0x80; });
  }
  if (const auto* list = as<Array>(value)) {
    return std::ssize(*list);
  }
  if (const auto* dict = as<Object>(value)) {
    return std::ssize(*dict);
  }
  throw FormatError(source, "a template needs something that has a length");
}

TemplateValue argument(const TemplateArguments& arguments, std::size_t place) {
  return place < arguments.values.size() ? arguments.values[place] : TemplateValue();
}

} // namespace

std::string checked_text(std::string text, const std::string& source) {
  if (text.size() > kMaxTemplateTextBytes) {
    throw FormatError(source, "a template's text may have at most 16 MiB");
  }
  return text;
}

bool is_true(const TemplateValue& value) {
  if (!value || value->is_null()) {
    return false;
  }
  if (const auto* flag = value->as<bool>()) {
    return *flag;
  }
  if (const auto* whole = value->as<std::int64_t>()) {
    return *whole != 0;
  }
  if (const auto* text = value->as<std::string>()) {
    return !text->empty();
  }
  if (const auto* list = value->as<Array>()) {
    return !list->empty();
  }
  const auto* dict = value->as<Object>();
  return dict == nullptr || !dict->empty();
}

std::string printed(const TemplateValue& value, const std::string& source) {
  if (!value) {
    return {};
  }
  if (const auto* text = value->as<std::string>()) {
    return *text;
  }
  if (const auto* flag = value->as<bool>()) {
    return *flag ? "True" : "False";
  }
  if (const auto* whole = value->as<std::int64_t>()) {
    return std::to_string(*whole);
  }
  if (value->is_null()) {
    return "None";
  }
  throw FormatError(
      source,
      "a template may print texts and whole numbers alone",
      std::string(json_type_name(*value)));
}

bool is_equal(const TemplateValue& a, const TemplateValue& b) {
  if (!a || !b) {
    return !a && !b;
  }
  if (as<std::string>(a) != nullptr || as<std::string>(b) != nullptr) {
    return as<std::string>(a) != nullptr && as<std::string>(b) != nullptr &&
           *as<std::string>(a) == *as<std::string>(b);
  }
  return json_text(*a, 0) == json_text(*b, 0);
}

TemplateValue element(const TemplateValue& container, const TemplateValue& key) {
  if (const auto* name = as<std::string>(key)) {
    const JsonValue* found = container ? container->find(*name) : nullptr;
    return found == nullptr ? TemplateValue() : *found;
  }
  const auto* place = as<std::int64_t>(key);
  const auto* list = as<Array>(container);
  const auto* text = as<std::string>(container);
  const std::int64_t size = list != nullptr   ? std::ssize(*list)
                            : text != nullptr ? std::ssize(*text)
                                              : 0;
  if (place == nullptr || *place >= size || *place < -size) {
    return std::nullopt;
  }
  const auto at = static_cast<std::size_t>(*place < 0 ? *place + size : *place);
  return list != nullptr ? (*list)[at] : json(text->substr(at, 1));
}

TemplateValue slice(
    const TemplateValue& container,
    const TemplateValue& first,
    const TemplateValue& last,
    const TemplateValue& step,
    const std::string& source) {
  const auto* list = as<Array>(container);
  const auto* text = as<std::string>(container);
  if (list == nullptr && text == nullptr) {
    throw FormatError(source, "a template may cut texts and lists alone");
  }
  const std::int64_t size = list != nullptr ? std::ssize(*list) : std::ssize(*text);
  const auto* given_step = as<std::int64_t>(step);
  const std::int64_t by = given_step == nullptr ? 1 : *given_step;
  if (by != 1 && by != -1) {
    throw FormatError(source, "a template may cut in steps of 1 and -1 alone", std::to_string(by));
  }
  const auto place = [&](const TemplateValue& value, std::int64_t otherwise) {
    const auto* given = as<std::int64_t>(value);
    if (given == nullptr) {
      return otherwise;
    }
    const std::int64_t least = by > 0 ? 0 : -1;
    return std::clamp(*given < 0 ? *given + size : *given, least, size + least);
  };
  const std::int64_t begin = place(first, by > 0 ? 0 : size - 1),
                     end = place(last, by > 0 ? size : -1);
  Array elements;
  std::string bytes;
  for (std::int64_t i = begin; by > 0 ? i < end : i > end; i += by) {
    const auto at = static_cast<std::size_t>(i);
    if (list != nullptr) {
      elements.push_back((*list)[at]);
    } else {
      bytes += (*text)[at];
    }
  }
  return list != nullptr ? json(std::move(elements)) : json(std::move(bytes));
}

TemplateValue apply_filter(
    const TemplateValue& value,
    const std::string& name,
    const TemplateArguments& arguments,
    const std::string& source) {
  const std::string what = "`" + name + "`";
  if (name == "trim") {
    return json(stripped(printed(value, source), kWhite, true, true));
  }
  if (name == "length" || name == "count") {
    return json(length_of(value, source));
  }
  if (name == "upper" || name == "lower") {
    return json(cased(printed(value, source), name == "upper"));
  }
  if (name == "string") {
    return json(printed(value, source));
  }
  if (name == "safe") {
    return value;
  }
  if (name == "default" || name == "d") {
    return value && (is_true(value) || !is_true(argument(arguments, 1))) ? value
                                                                         : argument(arguments, 0);
  }
  if (name == "first" || name == "last") {
    return element(value, json(std::int64_t{name == "first" ? 0 : -1}));
  }
  if (name == "replace") {
    return json(replaced(
        printed(value, source),
        text_of(argument(arguments, 0), what, source),
        text_of(argument(arguments, 1), what, source),
        source));
  }
  if (name == "items" && as<Object>(value) != nullptr) {
    return items(*as<Object>(value));
  }
  if (name == "list" && as<Array>(value) != nullptr) {
    return value;
  }
  if (name == "join" && as<Array>(value) != nullptr) {
    const TemplateValue between = argument(arguments, 0);
    std::string joined;
    bool first = true;
    for (const JsonValue& part : *as<Array>(value)) {
      joined += (first ? "" : printed(between, source)) + printed(part, source);
      joined = checked_text(std::move(joined), source);
      first = false;
    }
    return json(std::move(joined));
  }
  throw FormatError(source, "a template may use the filters that chats need", name);
}

TemplateValue call_method(
    const TemplateValue& value,
    const std::string& name,
    const TemplateArguments& arguments,
    const std::string& source) {
  const std::string what = "." + name + "()";
  const TemplateValue given = argument(arguments, 0);
  if (const auto* dict = as<Object>(value)) {
    if (name == "items") {
      return items(*dict);
    }
    if (name == "get") {
      const TemplateValue found = element(value, given);
      const TemplateValue otherwise = argument(arguments, 1);
      return found ? found : otherwise ? otherwise : JsonValue();
    }
  } else if (const auto* text = as<std::string>(value)) {
    if (name == "strip" || name == "lstrip" || name == "rstrip") {
      const std::string bytes = given ? text_of(given, what, source) : std::string(kWhite);
      return json(stripped(*text, bytes, name != "rstrip", name != "lstrip"));
    }
    if (name == "startswith") {
      return json(text->starts_with(text_of(given, what, source)));
    }
    if (name == "endswith") {
      return json(text->ends_with(text_of(given, what, source)));
    }
    if (name == "split" && given) {
      return split(*text, text_of(given, what, source));
    }
    if (name == "replace") {
      return json(replaced(
          *text,
          text_of(given, what, source),
          text_of(argument(arguments, 1), what, source),
          source));
    }
    if (name == "upper" || name == "lower") {
      return json(cased(*text, name == "upper"));
    }
  }
  throw FormatError(source, "a template may call the methods that chats need", name);
}

} // namespace fcc
