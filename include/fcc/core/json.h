#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fcc {

struct JsonMember;

/// A JSON value that remembers its line, so that a strict reader can name it.
///
/// Whole numbers that fit 64 bits are kept exactly; every other number is a double beside its text.
struct JsonValue {
  struct Number {
    double value = 0.0;
    std::string text; ///< as written in the file (empty: made by a program)
  };
  using Array = std::vector<JsonValue>;
  using Object = std::vector<JsonMember>; ///< in the file's order, no key twice

  using Variant =
      std::variant<std::monostate, bool, std::int64_t, Number, std::string, Array, Object>;

  Variant value;
  int line = 0; ///< 1, 2, …; 0: not from a file; -k: from the k-th override

  JsonValue();
  JsonValue(Variant value_, int line_ = 0);
  JsonValue(const JsonValue&);
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(const JsonValue&);
  JsonValue& operator=(JsonValue&&) noexcept;
  ~JsonValue();

  bool is_null() const {
    return std::holds_alternative<std::monostate>(value);
  }
  template <typename T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  template <typename T>
  T* as() {
    return std::get_if<T>(&value);
  }
  /// The member's value, or null if this is no object or lacks the key.
  const JsonValue* find(std::string_view key) const;
  JsonValue* find(std::string_view key);
};

struct JsonMember {
  std::string key;
  JsonValue value;
  int line = 0; ///< of the key

  JsonMember(std::string key_, JsonValue value_, int line_ = 0);
};

/// A parsed text and the keys that occur twice in one object (the first one counts): it is for the
/// caller to refuse them, all at once.
struct JsonDocument {
  struct Duplicate {
    std::string path; ///< `train.stages.0.steps`
    int line = 0;
    int first_line = 0;
  };
  JsonValue root;
  std::vector<Duplicate> duplicates;
};

/// Refuses text with a NUL in it, which no JSON has: the parser would take it for the end, and what
/// follows would be lost in silence. Errors: `FormatError`, its place as `source:line:column`.
void refuse_nul(std::string_view text, const std::string& source);

/// Parses strict JSON (UTF-8, no comments, at most 100 levels deep, no NUL).
/// Errors: `FormatError`, its place as `source:line:column`.
JsonDocument parse_json(std::string_view text, const std::string& source);

/// `parse_json` that refuses duplicate keys too.
JsonValue parse_json_without_duplicates(std::string_view text, const std::string& source);

/// Parses a text that must be one object, without keeping it: each member goes to `use` as soon as
/// it is read, so that memory is that of the largest member and of the keys. A member of more than
/// `max_values` values is refused. Errors: as `parse_json_without_duplicates`.
void parse_json_members(
    std::string_view text,
    const std::string& source,
    std::size_t max_values,
    const std::function<void(const JsonMember&)>& use);

/// The value as JSON text; numbers read back equal. `indent` 0: on one line.
std::string json_text(const JsonValue& value, int indent = 2);

/// "a string", "a whole number", …: what a value is, for error texts.
std::string_view json_type_name(const JsonValue& value);

/// `prefix.key`, or `key` where the prefix is empty: how paths are written everywhere.
std::string json_path(std::string_view prefix, std::string_view key);

} // namespace fcc
