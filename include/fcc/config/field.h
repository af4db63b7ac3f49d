#pragma once

#include <array>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fcc {

/// What a reader, writer, help text and JSON schema need to know of one key besides its type.
struct Field {
  std::string_view doc; ///< one line: what it does, with its unit
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false; ///< `min` itself is not allowed
  bool required = false;
};

/// "at least 0 and at most 1"; empty where any number will do.
std::string range_text(const Field& field);

/// The JSON names of an enum, specialised beside each enum as
/// `static constexpr std::array<std::pair<std::string_view, E>, K> value`.
template <typename E>
struct EnumNames;

template <typename E>
std::vector<std::string> enum_names() {
  std::vector<std::string> names;
  for (const auto& [name, value] : EnumNames<E>::value) {
    names.emplace_back(name);
  }
  return names;
}

/// The JSON name of a value.
template <typename E>
std::string_view enum_name(E value) {
  for (const auto& [name, candidate] : EnumNames<E>::value) {
    if (candidate == value) {
      return name;
    }
  }
  return {};
}

// A settings struct `T` is described once, by a free function found by argument-dependent lookup:
//
//   template <typename Visitor> void visit(Visitor& v, T& t) {
//     v.field("lr", t.lr, {.doc = "Peak learning rate.", .min = 0});
//   }
//
// Fields are bool, int64_t, double, std::string, an enum with EnumNames, a visited struct,
// std::optional or std::vector of these, or a type with a short form (see strict_json.h).
// Rules between fields: `void check_rules(const T&, Problems&)`, found the same way.

} // namespace fcc
