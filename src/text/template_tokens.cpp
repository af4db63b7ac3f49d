#include <algorithm>
#include <array>
#include <cctype>

#include "fcc/core/error.h"
#include "text/template_syntax.h"

namespace fcc {
namespace {

using Kind = TemplateToken::Kind;

bool is_name_byte(char c) {
  return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Cutter {
 public:
  Cutter(std::string_view text, const std::string& source) : text_(text), source_(source) {
    if (text_.ends_with('\n')) {
      text_.remove_suffix(1); // Jinja's keep_trailing_newline is off
    }
  }

  std::vector<TemplateToken> run() {
    while (at_ < text_.size()) {
      const std::size_t tag = next_tag();
      add_text(text_.substr(at_, tag - at_), tag);
      at_ = tag;
      if (at_ < text_.size()) {
        read_tag();
      }
    }
    tokens_.push_back({Kind::kEndOfFile, "the end", line_});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& rule, const std::string& value) const {
    throw FormatError(source_ + ", line " + std::to_string(line_), rule, value);
  }

  std::size_t next_tag() const {
    for (std::size_t i = at_; i + 1 < text_.size(); ++i) {
      if (text_[i] == '{' && (text_[i + 1] == '{' || text_[i + 1] == '%' || text_[i + 1] == '#')) {
        return i;
      }
    }
    return text_.size();
  }

  /// The text before the tag at `tag`, less the white space that the tags on both sides take.
  void add_text(std::string_view text, std::size_t tag) {
    const auto num_lines = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
    constexpr std::string_view kWhite = " \t\n\r\f\v";
    bool at_line_start = at_ == 0 || text_[at_ - 1] == '\n';
    if (strip_next_) {
      text.remove_prefix(std::min(text.find_first_not_of(kWhite), text.size()));
    } else if (trim_next_ && text.starts_with('\n')) {
      text.remove_prefix(1);
      at_line_start = true;
    }
    strip_next_ = trim_next_ = false;
    if (tag < text_.size()) {
      const char sign = tag + 2 < text_.size() ? text_[tag + 2] : ' ';
      if (sign == '-') {
        text = text.substr(0, text.find_last_not_of(kWhite) + 1);
      } else if (sign != '+' && text_[tag + 1] != '{') {
        const std::size_t kept = text.find_last_not_of(" \t") + 1;
        if (kept == 0 ? at_line_start : text[kept - 1] == '\n') {
          text = text.substr(0, kept);
        }
      }
    }
    if (!text.empty()) {
      tokens_.push_back({Kind::kText, std::string(text), line_});
    }
    line_ += num_lines;
  }

  void read_tag() {
    const char type = text_[at_ + 1];
    if (type == '#') {
      const std::size_t end = text_.find("#}", at_ + 2);
      if (end == std::string_view::npos) {
        fail("a comment must end with", "#}");
      }
      line_ += static_cast<int>(std::count(
          text_.begin() + static_cast<std::ptrdiff_t>(at_),
          text_.begin() + static_cast<std::ptrdiff_t>(end),
          '\n'));
      strip_next_ = text_[end - 1] == '-';
      trim_next_ = true;
      at_ = end + 2;
      return;
    }
    const std::string closing = type == '{' ? "}}" : "%}";
    tokens_.push_back({Kind::kBegin, std::string("{") + type, line_});
    at_ += 2;
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) {
      ++at_;
    }
    depth_ = 0;
    while (!read_end(closing)) {
      read_token();
    }
  }

  bool read_end(const std::string& closing) {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) {
      line_ += text_[at_++] == '\n' ? 1 : 0;
    }
    const std::string_view rest = text_.substr(at_);
    const bool strips = rest.starts_with("-" + closing);
    const bool keeps = rest.starts_with("+" + closing);
    if (!strips && !keeps && (depth_ > 0 || !rest.starts_with(closing))) {
      return false;
    }
    at_ += closing.size() + (strips || keeps ? 1 : 0);
    strip_next_ = strips;
    trim_next_ = closing == "%}" && !keeps;
    tokens_.push_back({Kind::kEnd, closing, line_});
    return true;
  }

  void read_token() {
    if (at_ >= text_.size()) {
      fail("a tag must end", "with the template");
    }
    const char c = text_[at_];
    const std::size_t begin = at_;
    if (c == '\'' || c == '"') {
      read_string(c);
    } else if (is_digit(c)) {
      while (at_ < text_.size() &&
             (is_digit(text_[at_]) ||
              (text_[at_] == '.' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1])))) {
        ++at_;
      }
      tokens_.push_back({Kind::kNumber, std::string(text_.substr(begin, at_ - begin)), line_});
    } else if (is_name_byte(c)) {
      while (at_ < text_.size() && is_name_byte(text_[at_])) {
        ++at_;
      }
      tokens_.push_back({Kind::kName, std::string(text_.substr(begin, at_ - begin)), line_});
    } else {
      constexpr std::array<std::string_view, 23> kSigns = {
          "==", "!=", "<=", ">=", "//", "**", "<", ">", "=", "+", "-", "*",
          "/",  "%",  "~",  "|",  "(",  ")",  "[", "]", "{", "}", ","};
      for (const std::string_view sign : kSigns) {
        if (text_.substr(at_).starts_with(sign)) {
          return add_sign(sign);
        }
      }
      if (c == '.' || c == ':') {
        return add_sign(text_.substr(at_, 1));
      }
      fail("a template's expression must not hold", std::string(1, c));
    }
  }

  void add_sign(std::string_view sign) {
    depth_ += sign == "{" ? 1 : sign == "}" ? -1 : 0; // `}}` may end two dicts
    tokens_.push_back({Kind::kSign, std::string(sign), line_});
    at_ += sign.size();
  }

  void read_string(char quote) {
    std::string value;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      char c = text_[at_];
      if (c == '\\' && at_ + 1 < text_.size()) {
        constexpr std::string_view kFrom = "nrtfvba0\\'\"", kTo("\n\r\t\f\v\b\a\0\\'\"", 11);
        const std::size_t found = kFrom.find(text_[++at_]);
        if (found == std::string_view::npos) {
          fail(
              "a string's escape must be one of \\n \\r \\t \\\\ \\' \\\"",
              std::string("\\") + text_[at_]);
        }
        c = kTo[found];
      }
      line_ += c == '\n' && text_[at_] == '\n' ? 1 : 0;
      value += c;
    }
    if (at_ >= text_.size()) {
      fail("a string must end with", std::string(1, quote));
    }
    ++at_;
    tokens_.push_back({Kind::kString, std::move(value), line_});
  }

  std::string_view text_;
  const std::string& source_;
  std::vector<TemplateToken> tokens_;
  std::size_t at_ = 0;
  int line_ = 1, depth_ = 0;
  bool strip_next_ = false, trim_next_ = false;
};

} // namespace

std::vector<TemplateToken> cut_template(std::string_view text, const std::string& source) {
  return Cutter(text, source).run();
}

} // namespace fcc
