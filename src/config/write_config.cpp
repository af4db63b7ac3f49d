#include "fcc/config/write_config.h"

namespace fcc {

JsonValue distribution_to_json(const IntDistribution& value) {
  using Kind = IntDistribution::Kind;
  JsonValue::Array values;
  for (const std::int64_t item : value.values) {
    values.emplace_back(item);
  }
  JsonValue plain =
      value.kind == Kind::kFixed && values.size() == 1 ? values[0] : JsonValue(std::move(values));
  const bool is_range = value.kind == Kind::kUniform || value.kind == Kind::kLogUniform;
  if (!is_range && value.zero_share == 0.0) {
    return plain;
  }
  constexpr const char* kNames[] = {"fixed", "list", "uniform", "log_uniform"};
  JsonValue::Object object;
  object.emplace_back(kNames[static_cast<int>(value.kind)], std::move(plain));
  if (value.zero_share != 0.0) {
    object.emplace_back("zero_share", JsonValue(JsonValue::Number{value.zero_share, ""}));
  }
  return JsonValue(std::move(object));
}

} // namespace fcc
