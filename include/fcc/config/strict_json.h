#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "fcc/config/describe_config.h"
#include "fcc/config/field.h"
#include "fcc/config/int_distribution.h"
#include "fcc/config/problems.h"
#include "fcc/core/json.h"

namespace fcc {

/// What to do about keys that no field has. `kIgnore` is for files of others (Hugging Face).
enum class UnknownKeys { kRefuse, kIgnore };

/// One value of the tree and where it stands.
struct ConfigPlace {
  const JsonValue& json;
  std::string path; ///< `train.stages.0.steps`
  Problems& problems;
  UnknownKeys unknown_keys;

  /// Notes that this value breaks `rule`; the value itself is added to the text.
  void refuse(std::string_view rule, std::string_view hint = {}) const;
};

// Readers of the plain types: on a broken rule `value` stays and the problem is noted. Whole
// numbers keep all 64 bits; 5.0 is none. A double accepts whole numbers.
void read_value(const ConfigPlace& place, const Field& field, bool& value);
void read_value(const ConfigPlace& place, const Field& field, std::int64_t& value);
void read_value(const ConfigPlace& place, const Field& field, double& value);
void read_value(const ConfigPlace& place, const Field& field, std::string& value);
/// Short forms: `8`, `[2, 4]`, `{"uniform": [0, 16]}`, `{"log_uniform": [1, 64]}`, `{"fixed": 8}`,
/// `{"list": [2, 4]}`, the objects also with `"zero_share": p`.
void read_value(const ConfigPlace& place, const Field& field, IntDistribution& value);

/// The position of the string among `names`, or nothing after noting the problem.
std::optional<std::size_t> read_name(
    const ConfigPlace& place,
    const std::vector<std::string>& names);

/// The members of one object, handed out by name; what is left over is unknown.
class ConfigReader {
 public:
  explicit ConfigReader(ConfigPlace place);

  /// Reads the member `name` into `value`, which keeps its default if the member is absent.
  template <typename T>
  void field(std::string_view name, T& value, const Field& field);

  /// Admits a key that is read elsewhere.
  void know(std::string_view name);

  /// Notes unknown keys with what they may have meant, and required keys that are absent, unless
  /// an unknown key seems to be one of them.
  void finish();

 private:
  const JsonValue* take(std::string_view name, bool required);
  void refuse_unknown(const JsonMember& member);

  ConfigPlace place_;
  std::vector<std::string> known_;
  std::vector<std::string> missing_; ///< required
};

template <typename E>
requires std::is_enum_v<E>
void read_value(const ConfigPlace& place, const Field&, E& value) {
  if (const auto position = read_name(place, enum_names<E>())) {
    value = EnumNames<E>::value[*position].second;
  }
}

template <typename T>
void read_value(const ConfigPlace& place, const Field& field, std::optional<T>& value) {
  if (place.json.is_null()) {
    value.reset();
    return;
  }
  T inner{};
  read_value(place, field, inner);
  value = std::move(inner);
}

template <typename T>
void read_value(const ConfigPlace& place, const Field& field, std::vector<T>& value) {
  const auto* array = place.json.as<JsonValue::Array>();
  if (array == nullptr) {
    place.refuse("must be a list");
    return;
  }
  value.clear();
  for (std::size_t i = 0; i < array->size(); ++i) {
    const std::string path = json_path(place.path, std::to_string(i));
    place.problems.set_line(path, (*array)[i].line);
    T item{};
    read_value({(*array)[i], path, place.problems, place.unknown_keys}, field, item);
    value.push_back(std::move(item));
  }
}

/// A struct described by `visit` (field.h).
template <typename T>
requires std::is_class_v<T> && requires(ConfigReader& reader, T& value) {
  visit(reader, value);
}
void read_value(const ConfigPlace& place, const Field&, T& value) {
  if (place.json.as<JsonValue::Object>() == nullptr) {
    place.refuse("must be an object");
    return;
  }
  ConfigReader reader(place);
  visit(reader, value);
  reader.finish();
}

template <typename T>
void ConfigReader::field(std::string_view name, T& value, const Field& field) {
  if (const JsonValue* member = take(name, field.required)) {
    read_value(
        {*member, json_path(place_.path, name), place_.problems, place_.unknown_keys},
        field,
        value);
  }
}

/// Reads a parsed tree; all problems go to `problems`. Where every key was known, present and
/// right, those of `check_rules` of `T` too: before, they would be consequences told as causes.
template <typename T>
T read_config_tree(const JsonValue& root, Problems& problems, UnknownKeys unknown_keys) {
  T config{};
  read_value({root, "", problems, unknown_keys}, Field{}, config);
  if constexpr (requires { check_rules(config, problems); }) {
    if (problems.empty()) {
      check_rules(config, problems);
    }
  }
  return config;
}

/// Parses `text`, notes duplicate keys, and lays the overrides `a.b.0.c=value` (or `a.b[0].c`) over
/// the tree (the value is JSON, or else a string). Errors: `ConfigError` on text that is no JSON.
JsonValue parse_config(
    std::string_view text,
    const std::string& source,
    const std::vector<std::string>& overrides,
    Problems& problems);

/// The paths of all keys of `T`.
template <typename T>
std::vector<std::string> key_paths() {
  std::vector<std::string> paths;
  for (ConfigKey& key : list_keys<T>()) {
    paths.push_back(std::move(key.path));
  }
  return paths;
}

/// Reads a configuration strictly: duplicate or unknown key, wrong type, value out of range, and,
/// once those are right, broken rules between keys. Every object admits a `comment` (a string or a
/// list of strings). Errors: `ConfigError` that lists all problems, each with path, line (or its
/// `--set`), rule, value and the key that was meant (`Problems::hint_for_unknown`). `source` names
/// the file in them.
template <typename T>
T read_config(
    std::string_view text,
    const std::string& source,
    const std::vector<std::string>& overrides = {},
    UnknownKeys unknown_keys = UnknownKeys::kRefuse) {
  Problems problems(source, overrides);
  problems.set_key_paths(key_paths<T>);
  const JsonValue root = parse_config(text, source, overrides, problems);
  T config = read_config_tree<T>(root, problems, unknown_keys);
  problems.throw_if_any();
  return config;
}

} // namespace fcc
