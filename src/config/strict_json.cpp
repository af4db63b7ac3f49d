#include "fcc/config/strict_json.h"

#include <algorithm>
#include <cmath>

#include "fcc/config/dtype_names.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

/// Long values would bury the rule.
std::string short_text(const JsonValue& value) {
  constexpr std::size_t kMaxLength = 60;
  std::string text = json_text(value, 0);
  if (text.size() > kMaxLength) {
    std::size_t end = kMaxLength;
    while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
      --end; // never cut a UTF-8 sequence
    }
    text.resize(end);
    text += "…";
  }
  return text;
}

bool check_range(const ConfigPlace& place, const Field& field, double value) {
  const bool is_low = field.above_min ? !(value > field.min) : value < field.min;
  if (is_low || value > field.max) {
    place.refuse("must be " + range_text(field));
    return false;
  }
  return true;
}

using Kind = IntDistribution::Kind;

constexpr std::pair<const char*, Kind> kForms[] = {
    {"fixed", Kind::kFixed},
    {"list", Kind::kList},
    {"uniform", Kind::kUniform},
    {"log_uniform", Kind::kLogUniform}};

constexpr const char* kDistributionRule =
    "must be a whole number, a list of them, {\"uniform\": [a, b]} or {\"log_uniform\": [a, b]}";

/// The whole numbers of `json`, a single one or a list; nothing after noting the problem.
std::optional<std::vector<std::int64_t>> read_numbers(
    const ConfigPlace& place,
    const Field& field) {
  std::vector<std::int64_t> values;
  if (const auto* array = place.json.as<JsonValue::Array>()) {
    for (const JsonValue& item : *array) {
      const auto* integer = item.as<std::int64_t>();
      if (integer == nullptr) {
        place.refuse(kDistributionRule);
        return std::nullopt;
      }
      values.push_back(*integer);
    }
  } else if (const auto* integer = place.json.as<std::int64_t>()) {
    values.push_back(*integer);
  } else {
    place.refuse(kDistributionRule);
    return std::nullopt;
  }
  for (const std::int64_t value : values) {
    if (!check_range(place, field, static_cast<double>(value))) {
      return std::nullopt;
    }
  }
  return values;
}

bool check_form(const ConfigPlace& place, const IntDistribution& value) {
  const std::vector<std::int64_t>& values = value.values;
  switch (value.kind) {
    case Kind::kFixed:
      if (values.size() != 1) {
        place.refuse("`fixed` must be one whole number");
        return false;
      }
      return true;
    case Kind::kList:
      if (values.empty()) {
        place.refuse("a list must hold at least one number");
        return false;
      }
      return true;
    case Kind::kUniform:
    case Kind::kLogUniform:
      if (values.size() != 2 || values[0] > values[1]) {
        place.refuse("must be [smallest, largest], two whole numbers in this order");
        return false;
      }
      if (value.kind == Kind::kLogUniform && values[0] < 1) {
        place.refuse("`log_uniform` must begin at 1 or above", "a share of zeros is `zero_share`");
        return false;
      }
      return true;
  }
  return false;
}

void read_distribution_object(
    const ConfigPlace& place,
    const Field& field,
    IntDistribution& value) {
  IntDistribution read;
  int num_forms = 0;
  bool is_right = true;
  for (const auto& [name, kind] : kForms) {
    if (const JsonValue* member = place.json.find(name)) {
      const ConfigPlace inside{
          *member, json_path(place.path, name), place.problems, place.unknown_keys};
      inside.problems.set_line(inside.path, member->line);
      ++num_forms;
      read.kind = kind;
      const auto values = read_numbers(inside, field);
      read.values = values.value_or(std::vector<std::int64_t>{});
      is_right = is_right && values && check_form(inside, read);
    }
  }
  // The reader handles `zero_share`, `comment` and unknown keys; the forms are done.
  ConfigReader reader(place);
  reader.field("zero_share", read.zero_share, {.doc = "Probability of 0.", .min = 0, .max = 1});
  for (const auto& [name, kind] : kForms) {
    reader.know(name);
  }
  reader.finish();
  if (num_forms != 1) {
    place.refuse("must have one of `fixed`, `list`, `uniform`, `log_uniform`");
  } else if (read.zero_share > 0 && field.min > 0) {
    place.refuse("`zero_share` must be 0: the number must be " + range_text(field));
  } else if (is_right) {
    value = std::move(read);
  }
}

void check_comment(const ConfigPlace& place) {
  const auto* array = place.json.as<JsonValue::Array>();
  const bool is_list =
      array != nullptr && std::all_of(array->begin(), array->end(), [](const JsonValue& item) {
        return item.as<std::string>() != nullptr;
      });
  if (!is_list && place.json.as<std::string>() == nullptr) {
    place.refuse("must be a string or a list of strings");
  }
}

/// `stages[0]` → `stages.0`: both ways of writing an index are common.
std::string with_dotted_indices(const std::string& path) {
  std::string dotted;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const std::size_t close = path[i] == '[' ? path.find(']', i) : std::string::npos;
    if (close == std::string::npos || close == i + 1 ||
        path.find_first_not_of("0123456789", i + 1) != close) {
      dotted += path[i];
      continue;
    }
    dotted += '.' + path.substr(i + 1, close - i - 1);
    i = close;
  }
  return dotted;
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', start)) {
    parts.push_back(path.substr(start, dot - start));
    start = dot + 1;
  }
  parts.push_back(path.substr(start));
  return parts;
}

void mark_lines(JsonValue& value, int line) {
  value.line = line;
  if (auto* array = value.as<JsonValue::Array>()) {
    for (JsonValue& item : *array) {
      mark_lines(item, line);
    }
  } else if (auto* object = value.as<JsonValue::Object>()) {
    for (JsonMember& member : *object) {
      member.line = line;
      mark_lines(member.value, line);
    }
  }
}

/// The value at `part` of `parent`, made if an object lacks it; null after noting the problem.
JsonValue* step_into(
    JsonValue& parent,
    const std::string& parent_path,
    const std::string& part,
    int line,
    Problems& problems) {
  if (auto* array = parent.as<JsonValue::Array>()) {
    const bool is_index = !part.empty() && part.size() < 10 &&
                          part.find_first_not_of("0123456789") == std::string::npos;
    if (!is_index || std::stoul(part) >= array->size()) {
      problems.add_at(
          line,
          json_path(parent_path, part),
          "must be an index of the list, which has " + std::to_string(array->size()) + " items",
          part);
      return nullptr;
    }
    return &(*array)[std::stoul(part)];
  }
  if (parent.is_null()) {
    parent = JsonValue(JsonValue::Object{}, line);
  }
  auto* object = parent.as<JsonValue::Object>();
  if (object == nullptr) {
    problems.add_at(
        line,
        json_path(parent_path, part),
        "only objects and lists have keys; `" + parent_path + "` is " +
            std::string(json_type_name(parent)));
    return nullptr;
  }
  if (JsonValue* found = parent.find(part)) {
    return found;
  }
  return &object->emplace_back(part, JsonValue({}, line), line).value;
}

void apply_override(JsonValue& root, const std::string& text, int line, Problems& problems) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    problems.add_at(line, "", "must be KEY=VALUE");
    return;
  }
  const std::string path = with_dotted_indices(text.substr(0, equals));
  const std::string value_text = text.substr(equals + 1);
  JsonValue value;
  try {
    JsonDocument document = parse_json(value_text, "--set");
    for (const JsonDocument::Duplicate& duplicate : document.duplicates) {
      problems.add_at(line, json_path(path, duplicate.path), "no key may occur twice in an object");
    }
    value = std::move(document.root);
  } catch (const FormatError&) {
    value = JsonValue(value_text); // not JSON: a string without its quotes
  }
  JsonValue* target = &root;
  std::string target_path;
  for (const std::string& part : split_path(path)) {
    target = step_into(*target, target_path, part, line, problems);
    if (target == nullptr) {
      return;
    }
    target_path = json_path(target_path, part);
  }
  mark_lines(value, line);
  *target = std::move(value);
}

} // namespace

void ConfigPlace::refuse(std::string_view rule, std::string_view hint) const {
  problems.add_at(json.line, path, rule, short_text(json), hint);
}

void read_value(const ConfigPlace& place, const Field&, bool& value) {
  if (const auto* flag = place.json.as<bool>()) {
    value = *flag;
  } else {
    place.refuse("must be true or false");
  }
}

void read_value(const ConfigPlace& place, const Field& field, std::int64_t& value) {
  const auto* integer = place.json.as<std::int64_t>();
  if (integer == nullptr) {
    const auto* number = place.json.as<JsonValue::Number>();
    const bool is_too_large =
        number != nullptr && number->text.find_first_of(".eE") == std::string::npos;
    place.refuse(
        is_too_large ? "must fit 64 bits" : "must be a whole number",
        number != nullptr && !is_too_large ? "write it without point or exponent" : "");
  } else if (check_range(place, field, static_cast<double>(*integer))) {
    value = *integer;
  }
}

void read_value(const ConfigPlace& place, const Field& field, double& value) {
  double read = 0.0;
  if (const auto* number = place.json.as<JsonValue::Number>()) {
    read = number->value;
  } else if (const auto* integer = place.json.as<std::int64_t>()) {
    read = static_cast<double>(*integer);
  } else {
    place.refuse("must be a number");
    return;
  }
  if (!std::isfinite(read)) {
    place.refuse("must be finite");
  } else if (check_range(place, field, read)) {
    value = read;
  }
}

void read_value(const ConfigPlace& place, const Field&, std::string& value) {
  if (const auto* text = place.json.as<std::string>()) {
    value = *text;
  } else {
    place.refuse("must be a string");
  }
}

void read_value(const ConfigPlace& place, const Field& field, IntDistribution& value) {
  if (place.json.as<JsonValue::Object>() != nullptr) {
    read_distribution_object(place, field, value);
    return;
  }
  const auto values = read_numbers(place, field);
  if (!values) {
    return;
  }
  IntDistribution read;
  read.kind = place.json.as<JsonValue::Array>() != nullptr ? Kind::kList : Kind::kFixed;
  read.values = *values;
  if (check_form(place, read)) {
    value = std::move(read);
  }
}

std::optional<std::size_t> read_name(
    const ConfigPlace& place,
    const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    list += (list.empty() ? "`" : ", `") + name + "`";
  }
  const auto* text = place.json.as<std::string>();
  const bool is_dtype = std::find(names.begin(), names.end(), "bfloat16") != names.end();
  std::string_view name = text == nullptr ? std::string_view() : *text;
  name = is_dtype ? dtype_by_other_name(name) : name;
  const auto found = std::find(names.begin(), names.end(), name);
  if (text == nullptr || found == names.end()) {
    // No guess by nearness: float16 is nearest to bfloat16.
    place.refuse("must be one of " + list, is_dtype ? absent_dtype_hint(name) : "");
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - names.begin());
}

ConfigReader::ConfigReader(ConfigPlace place) : place_(std::move(place)) {
  place_.problems.set_line(place_.path, place_.json.line);
}

void ConfigReader::know(std::string_view name) {
  known_.emplace_back(name);
}

const JsonValue* ConfigReader::take(std::string_view name, bool required) {
  know(name);
  const JsonValue* const member = place_.json.find(name);
  const std::string path = json_path(place_.path, name);
  if (member != nullptr) {
    place_.problems.set_line(path, member->line);
  } else if (required) {
    missing_.emplace_back(name);
  }
  return member;
}

void ConfigReader::refuse_unknown(const JsonMember& member) {
  const std::string path = json_path(place_.path, member.key);
  const std::string hint = place_.problems.hint_for_unknown(path, known_);
  place_.problems.add_at(member.line, path, "no such key", {}, hint);
  // A required key that the hint names is there under a wrong name: no second problem.
  std::erase_if(missing_, [&hint](const std::string& name) {
    return hint.find('`' + name + '`') != std::string::npos ||
           hint.find('.' + name + '`') != std::string::npos;
  });
}

void ConfigReader::finish() {
  for (const JsonMember& member : *place_.json.as<JsonValue::Object>()) {
    if (place_.unknown_keys == UnknownKeys::kIgnore) {
      break;
    }
    if (member.key == "comment") {
      check_comment(
          {member.value, json_path(place_.path, member.key), place_.problems, place_.unknown_keys});
    } else if (std::find(known_.begin(), known_.end(), member.key) == known_.end()) {
      refuse_unknown(member);
    }
  }
  for (const std::string& name : missing_) {
    place_.problems.add_at(place_.json.line, json_path(place_.path, name), "must be given");
  }
}

JsonValue parse_config(
    std::string_view text,
    const std::string& source,
    const std::vector<std::string>& overrides,
    Problems& problems) {
  JsonDocument document;
  try {
    document = parse_json(text, source);
  } catch (const FormatError& error) {
    throw ConfigError(error.where(), error.rule(), error.value(), error.hint());
  }
  for (const JsonDocument::Duplicate& duplicate : document.duplicates) {
    problems.add_at(
        duplicate.line,
        duplicate.path,
        "no key may occur twice in an object",
        {},
        "first on line " + std::to_string(duplicate.first_line));
  }
  for (std::size_t i = 0; i < overrides.size(); ++i) {
    apply_override(document.root, overrides[i], -1 - static_cast<int>(i), problems);
  }
  return std::move(document.root);
}

} // namespace fcc
