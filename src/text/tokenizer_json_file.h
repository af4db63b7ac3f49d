#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "fcc/core/json.h"

namespace fcc {

/// Checked access to the values of one tokenizer.json. Errors: `FormatError` that names the file
/// and the path in it.
class TokenizerJsonFile {
 public:
  explicit TokenizerJsonFile(std::string name) : name_(std::move(name)) {}

  const std::string& name() const {
    return name_;
  }

  [[noreturn]] void refuse(
      const std::string& path,
      const std::string& rule,
      const std::string& value = {},
      const std::string& hint = {}) const;

  /// The member, or null if it is absent or JSON's null.
  static const JsonValue* optional(const JsonValue& object, std::string_view key) {
    const JsonValue* value = object.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  template <typename T>
  const T& as(const JsonValue& value, const std::string& path, const char* type) const {
    const T* typed = value.as<T>();
    if (typed == nullptr) {
      refuse(path, std::string("must be ") + type, std::string(json_type_name(value)));
    }
    return *typed;
  }

  template <typename T>
  const T& member(
      const JsonValue& object,
      const std::string& path,
      const char* key,
      const char* type) const {
    const JsonValue* value = object.find(key);
    if (value == nullptr) {
      refuse(path, std::string("needs the key '") + key + "'");
    }
    return as<T>(*value, path + "." + key, type);
  }

  const std::string& text(const JsonValue& object, const std::string& path, const char* key) const {
    return member<std::string>(object, path, key, "a string");
  }

  bool flag(const JsonValue& object, const std::string& path, const char* key, bool absent) const {
    const JsonValue* value = optional(object, key);
    return value == nullptr ? absent : as<bool>(*value, path + "." + key, "true or false");
  }

  /// Keys that nobody reads might change the ids.
  void allow_keys(
      const JsonValue& object,
      const std::string& path,
      std::initializer_list<std::string_view> keys) const;

 private:
  std::string name_;
};

} // namespace fcc
