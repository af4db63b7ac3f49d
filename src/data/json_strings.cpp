#include "data/json_strings.h"

#include <cstddef>
#include <utility>

#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/core/json.h"

namespace fcc {
namespace {

using Json = nlohmann::json;

/// Hears the parser's events and keeps the wanted strings of the outermost object.
class Listener {
 public:
  Listener(std::span<const std::string_view> keys, const std::string& where)
      : keys_(keys), where_(where), values_(keys.size()) {}

  bool null() {
    return other();
  }
  bool boolean(bool /*value*/) {
    return other();
  }
  bool number_integer(Json::number_integer_t /*value*/) {
    return other();
  }
  bool number_unsigned(Json::number_unsigned_t /*value*/) {
    return other();
  }
  bool number_float(Json::number_float_t /*value*/, const std::string& /*text*/) {
    return other();
  }
  bool binary(Json::binary_t& /*value*/) {
    return other();
  }
  bool string(std::string& value) {
    if (!wanted_) {
      return other();
    }
    values_[*wanted_] = std::move(value);
    wanted_.reset();
    return true;
  }
  bool start_object(std::size_t /*size*/) {
    if (depth_ > 0) {
      other();
    }
    ++depth_;
    return true;
  }
  bool key(std::string& name) {
    wanted_.reset();
    for (std::size_t i = 0; depth_ == 1 && i < keys_.size(); ++i) {
      if (keys_[i] == name) {
        if (values_[i]) {
          throw FormatError(where_, "key `" + name + "` must not come twice");
        }
        wanted_ = i;
      }
    }
    return true;
  }
  bool end_object() {
    --depth_;
    return true;
  }
  bool start_array(std::size_t /*size*/) {
    other();
    ++depth_;
    return true;
  }
  bool end_array() {
    --depth_;
    return true;
  }
  bool
  parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& error) {
    // The parser's own text begins with a code in brackets.
    std::string reason = error.what();
    const std::size_t code = reason.find("] ");
    reason = code == std::string::npos ? reason : reason.substr(code + 2);
    throw FormatError(
        where_,
        "must be one JSON object",
        "at byte " + std::to_string(position) + ": " + reason.substr(0, 200));
  }

  std::vector<std::optional<std::string>> values() && {
    return std::move(values_);
  }

 private:
  /// A value that is no wanted string.
  bool other() {
    if (depth_ == 0) {
      throw FormatError(where_, "must be one JSON object", "another value");
    }
    if (wanted_) {
      throw FormatError(where_, "`" + std::string(keys_[*wanted_]) + "` must be a string");
    }
    return true;
  }

  std::span<const std::string_view> keys_;
  const std::string& where_;
  std::vector<std::optional<std::string>> values_;
  std::optional<std::size_t> wanted_; ///< the key that was read last, if its value is asked for
  int depth_ = 0;
};

} // namespace

std::vector<std::optional<std::string>> json_strings(
    std::string_view json,
    std::span<const std::string_view> keys,
    const std::string& where) {
  refuse_nul(json, where);
  Listener listener(keys, where);
  Json::sax_parse(json, &listener);
  return std::move(listener).values();
}

} // namespace fcc
