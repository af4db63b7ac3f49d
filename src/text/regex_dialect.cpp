#include "text/regex_dialect.h"

#include "fcc/core/error.h"
#include "text/unicode_additions.h"

namespace fcc {
namespace {

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

class Translator {
 public:
  Translator(std::string_view pattern, UnicodeTables tables, const std::string& where)
      : rest_(pattern), pattern_(pattern), tables_(tables), where_(where) {}

  std::string run() {
    while (!rest_.empty()) {
      if (rest_[0] == '\\') {
        escape(false);
      } else if (rest_.starts_with("(?")) {
        group();
      } else if (rest_.starts_with("(*")) {
        refuse("(*"); // PCRE2's verbs
      } else if (rest_[0] == '[') {
        character_class();
      } else {
        copy(1);
      }
    }
    return std::move(output_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw FormatError(
        where_,
        "the split pattern uses '" + std::string(what) + "', which is not supported",
        std::string(pattern_));
  }

  void copy(std::size_t count) {
    output_ += rest_.substr(0, count);
    rest_.remove_prefix(count);
  }

  void group() {
    for (const std::string_view plain : {"(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (rest_.starts_with(plain)) {
        return copy(plain.size());
      }
    }
    const std::size_t end = rest_.find_first_not_of("imsx-", 2);
    if (end == std::string_view::npos || (rest_[end] != ':' && rest_[end] != ')') ||
        rest_.substr(0, end).find('x') != std::string_view::npos) {
      refuse(rest_.substr(0, std::min<std::size_t>(rest_.size(), 4)));
    }
    copy(end + 1);
  }

  void character_class() {
    copy(1);
    if (rest_.starts_with("^")) {
      copy(1);
    }
    if (rest_.starts_with("]")) {
      copy(1);
    }
    while (!rest_.starts_with("]")) {
      if (rest_.empty()) {
        refuse("[ without ]");
      }
      for (const std::string_view arithmetic : {"[", "&&", "--", "~~"}) {
        if (rest_.starts_with(arithmetic)) {
          refuse(std::string(arithmetic) + " in a class");
        }
      }
      if (rest_[0] == '\\') {
        escape(true);
      } else {
        copy(1);
      }
    }
    copy(1);
  }

  void escape(bool in_class) {
    if (rest_.size() < 2) {
      refuse("\\ at the end");
    }
    const char kind = rest_[1];
    switch (kind) {
      case 'p':
      case 'P':
        return property(in_class);
      case 's':
      case 'S':
        // White_Space; PCRE2 counts U+180E too. In a class, \S has no simple form.
        return shorthand(in_class, kind == 'S', "\\t-\\r\\x{85}\\p{Z}");
      case 'd':
      case 'D':
        return shorthand(in_class, kind == 'D', "\\p{Nd}" + unicode_additions_of("Nd"));
      case 'r':
      case 'n':
      case 't':
      case 'f':
      case 'x':
        return copy(2);
      case 'A':
      case 'z':
        if (in_class) {
          refuse(rest_.substr(0, 2));
        }
        return copy(2);
      default:
        if (is_alphanumeric(kind)) {
          refuse(rest_.substr(0, 2));
        }
        return copy(2); // an escaped mark; of a longer character the rest follows
    }
  }

  void shorthand(bool in_class, bool negated, const std::string& members) {
    if (tables_ == UnicodeTables::kLibrary || (in_class && negated)) {
      return copy(2);
    }
    output_ += in_class ? members : (negated ? "[^" : "[") + members + "]";
    rest_.remove_prefix(2);
  }

  void property(bool in_class) {
    std::string_view name = rest_.substr(2, 1);
    std::size_t length = 3;
    if (name == "{") {
      const std::size_t end = rest_.find('}');
      if (end == std::string_view::npos) {
        refuse("\\p{ without }");
      }
      name = rest_.substr(3, end - 3);
      length = end + 1;
    }
    bool negated = rest_[1] == 'P';
    if (name.starts_with("^")) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const std::string additions = name.empty() ? "" : unicode_additions_of(name);
    if (tables_ == UnicodeTables::kLibrary || additions.empty() || (in_class && negated)) {
      return copy(length);
    }
    const std::string members = "\\p{" + std::string(name) + "}" + additions;
    output_ += in_class ? members : (negated ? "[^" : "[") + members + "]";
    rest_.remove_prefix(length);
  }

  std::string_view rest_;
  const std::string_view pattern_;
  const UnicodeTables tables_;
  const std::string& where_;
  std::string output_;
};

} // namespace

std::string to_pcre2(std::string_view pattern, UnicodeTables tables, const std::string& where) {
  return Translator(pattern, tables, where).run();
}

} // namespace fcc
