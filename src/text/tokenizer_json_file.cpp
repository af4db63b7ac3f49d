#include "text/tokenizer_json_file.h"

#include <algorithm>

#include "fcc/core/error.h"

namespace fcc {

void TokenizerJsonFile::refuse(
    const std::string& path,
    const std::string& rule,
    const std::string& value,
    const std::string& hint) const {
  throw FormatError(name_ + ", " + path, rule, value, hint);
}

void TokenizerJsonFile::allow_keys(
    const JsonValue& object,
    const std::string& path,
    std::initializer_list<std::string_view> keys) const {
  for (const JsonMember& entry : as<JsonValue::Object>(object, path, "an object")) {
    if (std::find(keys.begin(), keys.end(), entry.key) == keys.end()) {
      refuse(path, "has a key that is not supported", entry.key);
    }
  }
}

} // namespace fcc
