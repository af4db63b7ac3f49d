#include "fcc/core/json.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <limits>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::size_t kMaxDepth = 100;

/// Characters for the parser; `*furthest` tells how far it has read.
class CountingIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator() = default;
  CountingIterator(const char* position, const char** furthest)
      : position_(position), furthest_(furthest) {}
  reference operator*() const {
    return *position_;
  }
  CountingIterator& operator++() {
    *furthest_ = ++position_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const {
    return position_ == other.position_;
  }

 private:
  const char* position_ = nullptr;
  const char** furthest_ = nullptr;
};

/// `source:line:column` of a character.
std::string place_of(std::string_view text, std::size_t position, const std::string& source) {
  const std::string_view before = text.substr(0, position);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1; // npos + 1 is 0
  return source + ":" + std::to_string(line) + ":" + std::to_string(position - line_start + 1);
}

/// Builds the tree from the parser's events.
class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeBuilder(std::string_view text, std::string source)
      : text_(text), source_(std::move(source)), furthest_(text.data()), counted_(text.data()) {}

  /// Hands the members of the outermost object over instead of keeping them.
  void hand_over(std::size_t max_values, const std::function<void(const JsonMember&)>& use) {
    max_values_ = max_values;
    use_ = &use;
  }

  const char** furthest() {
    return &furthest_;
  }
  JsonDocument take() {
    return std::move(document_);
  }

  bool null() override {
    return put({std::monostate{}, line()});
  }
  bool boolean(bool value) override {
    return put({value, line()});
  }
  bool number_integer(number_integer_t value) override {
    return put({std::int64_t{value}, line()});
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return put({static_cast<std::int64_t>(value), line()});
    }
    return put({JsonValue::Number{static_cast<double>(value), std::to_string(value)}, line()});
  }
  bool number_float(number_float_t value, const string_t& text) override {
    return put({JsonValue::Number{value, text}, line()});
  }
  bool string(string_t& value) override {
    return put({std::move(value), line()});
  }
  bool binary(binary_t&) override {
    return false; // JSON text has none
  }
  bool start_object(std::size_t) override {
    return open(JsonValue::Object{});
  }
  bool start_array(std::size_t) override {
    return open(JsonValue::Array{});
  }
  bool end_object() override {
    return close();
  }
  bool end_array() override {
    return close();
  }
  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.key = name;
    level.key_line = line();
    const auto [position, is_new] = level.seen.emplace(name, level.key_line);
    level.skip_value = !is_new;
    if (!is_new) {
      document_.duplicates.push_back({path(), level.key_line, position->second});
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error)
      override {
    // The position counts the characters read, the offending one included.
    const std::size_t end = std::min(position, text_.size());
    const std::size_t start = end == 0 ? 0 : end - 1;
    // "[json.exception.…] parse error at line …: syntax error …": the place is told above.
    std::string rule = error.what();
    rule.erase(0, rule.find("] ") + 2);
    if (rule.starts_with("parse error at")) {
      rule.erase(0, rule.find(": ") + 2);
    }
    rule.insert(0, "must be valid JSON: ");
    throw FormatError(place_of(text_, start, source_), rule);
  }

 private:
  struct Level {
    JsonValue value;
    std::unordered_map<std::string, int> seen; ///< keys so far and their lines
    std::string key;
    int key_line = 0;
    bool skip_value = false; ///< the key was there before
  };

  /// The line of the token just read. A number is known to end only by the character after it, so
  /// the last character read does not count; no token spans lines.
  int line() {
    const char* const end = std::max(furthest_ - 1, counted_);
    line_ += static_cast<int>(std::count(counted_, end, '\n'));
    counted_ = end;
    return line_;
  }

  std::string path() const {
    std::string result;
    for (const Level& level : levels_) {
      const auto* array = level.value.as<JsonValue::Array>();
      result = json_path(result, array ? std::to_string(array->size()) : level.key);
    }
    return result;
  }

  bool put(JsonValue value) {
    if (levels_.empty()) {
      document_.root = std::move(value);
      return true;
    }
    Level& level = levels_.back();
    if (use_ != nullptr && levels_.size() == 1 && level.value.as<JsonValue::Object>()) {
      num_values_ = 0;
      if (!level.skip_value) {
        (*use_)({std::move(level.key), std::move(value), level.key_line});
      }
      return true;
    }
    if (use_ != nullptr && ++num_values_ > max_values_) {
      throw FormatError(
          source_ + ":" + std::to_string(line()),
          "a member must not hold more than " + std::to_string(max_values_) + " values");
    }
    if (auto* array = level.value.as<JsonValue::Array>()) {
      array->push_back(std::move(value));
    } else if (!level.skip_value) {
      level.value.as<JsonValue::Object>()->push_back(
          {std::move(level.key), std::move(value), level.key_line});
    }
    return true;
  }

  template <typename Container>
  bool open(Container container) {
    if (levels_.size() == kMaxDepth) {
      throw FormatError(
          source_ + ":" + std::to_string(line()),
          "objects and arrays must not lie in each other more than " + std::to_string(kMaxDepth) +
              " levels deep");
    }
    levels_.emplace_back();
    levels_.back().value = {std::move(container), line()};
    return true;
  }

  bool close() {
    JsonValue value = std::move(levels_.back().value);
    levels_.pop_back();
    return put(std::move(value));
  }

  std::string_view text_;
  std::string source_;
  const char* furthest_;
  const char* counted_; ///< `line_` counts the line ends before this
  int line_ = 1;
  std::vector<Level> levels_;
  JsonDocument document_;
  const std::function<void(const JsonMember&)>* use_ = nullptr;
  std::size_t max_values_ = 0;
  std::size_t num_values_ = 0; ///< of the member that is being read
};

void parse_into(TreeBuilder& builder, std::string_view text) {
  const CountingIterator begin(text.data(), builder.furthest());
  const CountingIterator end(text.data() + text.size(), builder.furthest());
  nlohmann::json::sax_parse(begin, end, &builder);
}

void refuse_duplicates(const JsonDocument& document, const std::string& source) {
  if (!document.duplicates.empty()) {
    const JsonDocument::Duplicate& duplicate = document.duplicates.front();
    throw FormatError(
        source + ":" + std::to_string(duplicate.line),
        "no key may occur twice in an object",
        "`" + duplicate.path + "` again (first on line " + std::to_string(duplicate.first_line) +
            ")");
  }
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_number(std::string& out, double value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const std::string_view text(digits, static_cast<std::size_t>(end - digits));
  out += text;
  if (text.find_first_of(".en") == std::string_view::npos) {
    out += ".0"; // so that it reads back as what it is
  }
}

void append_value(std::string& out, const JsonValue& value, int indent, int depth);

/// Brackets around items; each on its own line where there is an indent.
template <typename Items, typename AppendItem>
void append_items(
    std::string& out,
    const char* brackets,
    const Items& items,
    int indent,
    int depth,
    const AppendItem& append_item) {
  out += brackets[0];
  bool first = true;
  for (const auto& item : items) {
    out += first ? "" : ",";
    if (indent > 0) {
      out += '\n';
      out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(depth + 1), ' ');
    } else if (!first) {
      out += ' ';
    }
    first = false;
    append_item(item);
  }
  if (indent > 0 && !items.empty()) {
    out += '\n';
    out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(depth), ' ');
  }
  out += brackets[1];
}

void append_value(std::string& out, const JsonValue& value, int indent, int depth) {
  if (value.is_null()) {
    out += "null";
  } else if (const auto* flag = value.as<bool>()) {
    out += *flag ? "true" : "false";
  } else if (const auto* integer = value.as<std::int64_t>()) {
    out += std::to_string(*integer);
  } else if (const auto* number = value.as<JsonValue::Number>()) {
    if (number->text.empty()) {
      append_number(out, number->value);
    } else {
      out += number->text;
    }
  } else if (const auto* text = value.as<std::string>()) {
    append_string(out, *text);
  } else if (const auto* array = value.as<JsonValue::Array>()) {
    // Lists of plain values read best on one line.
    const bool flat = std::all_of(array->begin(), array->end(), [](const JsonValue& item) {
      return !item.as<JsonValue::Array>() && !item.as<JsonValue::Object>();
    });
    append_items(out, "[]", *array, flat ? 0 : indent, depth, [&](const JsonValue& item) {
      append_value(out, item, indent, depth + 1);
    });
  } else {
    const auto& object = *value.as<JsonValue::Object>();
    append_items(out, "{}", object, indent, depth, [&](const JsonMember& member) {
      append_string(out, member.key);
      out += ": ";
      append_value(out, member.value, indent, depth + 1);
    });
  }
}

} // namespace

JsonValue::JsonValue() = default;
JsonValue::JsonValue(Variant value_, int line_) : value(std::move(value_)), line(line_) {}
JsonValue::JsonValue(const JsonValue&) = default;
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(const JsonValue&) = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;
JsonValue::~JsonValue() = default;

JsonMember::JsonMember(std::string key_, JsonValue value_, int line_)
    : key(std::move(key_)), value(std::move(value_)), line(line_) {}

const JsonValue* JsonValue::find(std::string_view key) const {
  if (const auto* object = as<Object>()) {
    for (const JsonMember& member : *object) {
      if (member.key == key) {
        return &member.value;
      }
    }
  }
  return nullptr;
}

JsonValue* JsonValue::find(std::string_view key) {
  return const_cast<JsonValue*>(std::as_const(*this).find(key));
}

void refuse_nul(std::string_view text, const std::string& source) {
  const std::size_t position = text.find('\0');
  if (position != std::string_view::npos) {
    throw FormatError(
        place_of(text, position, source),
        "must be valid JSON, which has no NUL bytes",
        {},
        "a crash while a file was written leaves them");
  }
}

JsonDocument parse_json(std::string_view text, const std::string& source) {
  refuse_nul(text, source);
  TreeBuilder builder(text, source);
  parse_into(builder, text);
  return builder.take();
}

void parse_json_members(
    std::string_view text,
    const std::string& source,
    std::size_t max_values,
    const std::function<void(const JsonMember&)>& use) {
  refuse_nul(text, source);
  TreeBuilder builder(text, source);
  builder.hand_over(max_values, use);
  parse_into(builder, text);
  const JsonDocument document = builder.take();
  refuse_duplicates(document, source);
  if (document.root.as<JsonValue::Object>() == nullptr) {
    throw FormatError(
        source, "must be one JSON object", std::string(json_type_name(document.root)));
  }
}

JsonValue parse_json_without_duplicates(std::string_view text, const std::string& source) {
  JsonDocument document = parse_json(text, source);
  refuse_duplicates(document, source);
  return std::move(document.root);
}

std::string json_text(const JsonValue& value, int indent) {
  std::string out;
  append_value(out, value, indent, 0);
  return out;
}

std::string_view json_type_name(const JsonValue& value) {
  constexpr std::string_view kNames[] = {
      "null", "true or false", "a whole number", "a number", "a string", "a list", "an object"};
  return kNames[value.value.index()];
}

std::string json_path(std::string_view prefix, std::string_view key) {
  std::string path(prefix);
  if (!path.empty()) {
    path += '.';
  }
  path += key;
  return path;
}

} // namespace fcc
