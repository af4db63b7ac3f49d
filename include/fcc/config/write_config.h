#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "fcc/config/field.h"
#include "fcc/config/int_distribution.h"
#include "fcc/core/json.h"

namespace fcc {

/// A settings struct as JSON with every key, defaults included; `read_config` gives it back equal.
class ConfigWriter {
 public:
  template <typename T>
  void field(std::string_view name, T& value, const Field&) {
    object_.emplace_back(std::string(name), to_json(value));
  }

  template <typename T>
  static JsonValue to_json(T& value);

 private:
  JsonValue::Object object_;
};

/// The short form where there is one.
JsonValue distribution_to_json(const IntDistribution& value);

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

template <typename T>
JsonValue ConfigWriter::to_json(T& value) {
  if constexpr (IsOptional<T>::value) {
    return value ? to_json(*value) : JsonValue();
  } else if constexpr (IsVector<T>::value) {
    JsonValue::Array array;
    for (auto& item : value) {
      array.push_back(to_json(item));
    }
    return JsonValue(std::move(array));
  } else if constexpr (std::is_enum_v<T>) {
    return JsonValue(std::string(enum_name(value)));
  } else if constexpr (std::is_same_v<T, double>) {
    return JsonValue(JsonValue::Number{value, ""});
  } else if constexpr (std::is_same_v<T, IntDistribution>) {
    return distribution_to_json(value);
  } else if constexpr (
      std::is_same_v<T, bool> || std::is_same_v<T, std::int64_t> ||
      std::is_same_v<T, std::string>) {
    return JsonValue(value);
  } else {
    ConfigWriter writer;
    visit(writer, value);
    return JsonValue(std::move(writer.object_));
  }
}

/// The struct as a JSON tree.
template <typename T>
JsonValue config_to_json(T config) {
  return ConfigWriter::to_json(config);
}

/// The struct as the text of a JSON file.
template <typename T>
std::string write_config(T config) {
  return json_text(config_to_json(std::move(config))) + "\n";
}

} // namespace fcc
