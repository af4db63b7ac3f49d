#pragma once

#include <array>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace fcc {

/// What a reader, writer, help text and JSON schema need to know of one key besides its type.
struct Field {
  std::string_view doc; ///< one line: what it does, with its unit
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false; ///< `min` itself is not allowed
  bool required = false;
};

/// The JSON names of an enum, specialised beside each enum as
/// `static constexpr std::array<std::pair<std::string_view, E>, K> value`.
template <typename E>
struct EnumNames;

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
