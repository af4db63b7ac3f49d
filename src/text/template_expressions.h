#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/template_syntax.h"

namespace fcc {

/// Reads the expressions of a template from its tokens; what reads statements derives from it.
class TemplateExpressionParser {
 protected:
  using Expression = TemplateExpression;
  using Token = TemplateToken;

  /// `source` names the template in errors, which are `FormatError`s with the line.
  TemplateExpressionParser(std::vector<TemplateToken> tokens, const std::string& source)
      : tokens_(std::move(tokens)), source_(source) {}

  /// Counts the levels that are open, which are levels of the stack.
  struct Level {
    explicit Level(TemplateExpressionParser& parser);
    ~Level() {
      --parser_.depth_;
    }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    TemplateExpressionParser& parser_;
  };

  [[noreturn]] void fail(const std::string& rule, const std::string& value) const;

  const Token& now() const {
    return tokens_[at_];
  }
  bool is(std::string_view text, Token::Kind kind = Token::Kind::kSign) const {
    return now().kind == kind && now().text == text;
  }
  bool take(std::string_view text, Token::Kind kind = Token::Kind::kSign);
  bool take_word(std::string_view word) {
    return take(word, Token::Kind::kName);
  }
  void expect(std::string_view text, Token::Kind kind = Token::Kind::kSign);
  std::string name();

  /// Everything, `a if b else c` included; `either`: without it.
  Expression expression();
  Expression either();

  std::vector<Token> tokens_;
  const std::string& source_;
  std::size_t at_ = 0;
  int depth_ = 0;

 private:
  // From what binds least to what binds most.
  Expression both();
  Expression negation();
  Expression comparison();
  Expression sum();
  Expression joined();
  Expression product();
  Expression signed_value();
  Expression filtered(Expression value);
  Expression with_parts(Expression value);
  Expression primary();

  Expression item(Expression value);
  void arguments(Expression& call);
  std::optional<std::string> one_of(std::initializer_list<std::string_view> signs);
  Expression make(Expression::Kind kind, std::string text, std::vector<Expression> parts = {})
      const;
  Expression binary(std::string sign, Expression left, Expression right) const;
};

} // namespace fcc
