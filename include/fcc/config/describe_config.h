#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fcc/config/field.h"
#include "fcc/config/write_config.h"
#include "fcc/core/json.h"

namespace fcc {

/// One key as help tells it.
struct ConfigKey {
  std::string path; ///< `train.stages.N.steps`: N stands for an index
  std::string type; ///< `whole number`, `cosine | linear | constant`, `list of objects`, …
  std::string default_text; ///< JSON; empty if the key must be given or has keys of its own
  std::string range;        ///< `at least 1`; empty if any
  std::string doc;
  bool required = false;
};

/// Adds `doc`, bounds and default to the schema of one key.
void annotate_schema(JsonValue& schema, const Field& field, JsonValue default_value);

/// {"type": name}.
JsonValue schema_of_type(const char* name);

/// {"type": "string", "enum": names}.
JsonValue schema_of_names(const std::vector<std::string>& names);

/// {"type": "array", "items": items}.
JsonValue schema_of_list(JsonValue items);

/// {"anyOf": [schema, {"type": "null"}]}.
JsonValue schema_or_null(JsonValue schema);

/// The short forms of an `IntDistribution`.
JsonValue schema_of_distribution();

/// An object of these keys, and `comment`, and no others.
JsonValue schema_of_object(JsonValue::Object properties, JsonValue::Array required);

/// The keys as lines for `--help`, aligned and wrapped to `width` columns.
std::string help_text(const std::vector<ConfigKey>& keys, std::size_t width = 100);

/// Visits a struct to list its keys and build its JSON schema.
class ConfigDescriber {
 public:
  explicit ConfigDescriber(std::string path) : path_(std::move(path)) {}

  template <typename T>
  void field(std::string_view name, T& value, const Field& field);

  JsonValue schema() && {
    return schema_of_object(std::move(properties_), std::move(required_));
  }
  std::vector<ConfigKey> keys() && {
    return std::move(keys_);
  }

 private:
  /// How a type is called, its schema, and the keys below it.
  struct Description {
    std::string type;
    JsonValue schema;
    std::vector<ConfigKey> keys;
  };

  template <typename T>
  static Description describe(T& value, const std::string& path);

  std::string path_;
  JsonValue::Object properties_;
  JsonValue::Array required_;
  std::vector<ConfigKey> keys_;
};

/// The parts with `separator` between them.
std::string join(const std::vector<std::string>& parts, const char* separator);

template <typename T>
ConfigDescriber::Description ConfigDescriber::describe(T& value, const std::string& path) {
  if constexpr (std::is_same_v<T, bool>) {
    return {"true | false", schema_of_type("boolean"), {}};
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return {"whole number", schema_of_type("integer"), {}};
  } else if constexpr (std::is_same_v<T, double>) {
    return {"number", schema_of_type("number"), {}};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return {"string", schema_of_type("string"), {}};
  } else if constexpr (std::is_same_v<T, IntDistribution>) {
    return {"whole number, fixed or drawn", schema_of_distribution(), {}};
  } else if constexpr (std::is_enum_v<T>) {
    const std::vector<std::string> names = enum_names<T>();
    return {join(names, " | "), schema_of_names(names), {}};
  } else if constexpr (IsOptional<T>::value) {
    typename T::value_type inner{};
    Description result = describe(inner, path);
    result.type += " | null";
    result.schema = schema_or_null(std::move(result.schema));
    return result;
  } else if constexpr (IsVector<T>::value) {
    typename T::value_type item{};
    Description result = describe(item, json_path(path, "N"));
    result.type = "list of: " + result.type;
    result.schema = schema_of_list(std::move(result.schema));
    return result;
  } else {
    ConfigDescriber describer(path);
    visit(describer, value);
    std::vector<ConfigKey> keys = std::move(describer.keys_);
    return {"object", std::move(describer).schema(), std::move(keys)};
  }
}

template <typename T>
void ConfigDescriber::field(std::string_view name, T& value, const Field& field) {
  const std::string path = json_path(path_, name);
  Description description = describe(value, path);
  JsonValue default_value = ConfigWriter::to_json(value);
  const bool has_default = !field.required && default_value.as<JsonValue::Object>() == nullptr;
  keys_.push_back(
      {path,
       description.type,
       has_default ? json_text(default_value, 0) : "",
       range_text(field),
       std::string(field.doc),
       field.required});
  keys_.insert(keys_.end(), description.keys.begin(), description.keys.end());
  if (field.required) {
    required_.emplace_back(std::string(name));
    default_value = JsonValue();
  }
  annotate_schema(description.schema, field, std::move(default_value));
  properties_.emplace_back(std::string(name), std::move(description.schema));
}

/// All keys of a settings struct, parents before children.
template <typename T>
std::vector<ConfigKey> list_keys() {
  ConfigDescriber describer("");
  T value{};
  visit(describer, value);
  return std::move(describer).keys();
}

/// The JSON schema (draft 2020-12) of a settings struct, for editors.
template <typename T>
JsonValue config_schema() {
  ConfigDescriber describer("");
  T value{};
  visit(describer, value);
  JsonValue schema = std::move(describer).schema();
  schema.as<JsonValue::Object>()->emplace(
      schema.as<JsonValue::Object>()->begin(),
      "$schema",
      JsonValue(std::string("https://json-schema.org/draft/2020-12/schema")));
  return schema;
}

} // namespace fcc
