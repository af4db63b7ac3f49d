#include "text/template_expressions.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "fcc/core/error.h"

namespace fcc {
namespace {

using Kind = TemplateExpression::Kind;

TemplateExpression literal(JsonValue::Variant value) {
  TemplateExpression made;
  made.literal = JsonValue(std::move(value));
  return made;
}

} // namespace

TemplateExpressionParser::Level::Level(TemplateExpressionParser& parser) : parser_(parser) {
  constexpr int kMaxDepth = 60;
  if (++parser_.depth_ > kMaxDepth) {
    parser_.fail("may nest so many levels", std::to_string(kMaxDepth));
  }
}

void TemplateExpressionParser::fail(const std::string& rule, const std::string& value) const {
  throw FormatError(source_ + ", line " + std::to_string(now().line), "a template " + rule, value);
}

bool TemplateExpressionParser::take(std::string_view text, Token::Kind kind) {
  const bool taken = is(text, kind);
  at_ += taken ? 1 : 0;
  return taken;
}

void TemplateExpressionParser::expect(std::string_view text, Token::Kind kind) {
  if (!take(text, kind)) {
    fail("needs `" + std::string(text) + "` here", now().text);
  }
}

std::string TemplateExpressionParser::name() {
  if (now().kind != Token::Kind::kName) {
    fail("needs a name here", now().text);
  }
  return tokens_[at_++].text;
}

TemplateExpression TemplateExpressionParser::make(
    Expression::Kind kind,
    std::string text,
    std::vector<Expression> parts) const {
  constexpr int kMaxDepth = 200;
  int depth = 0;
  for (const Expression& part : parts) {
    depth = std::max(depth, part.depth);
  }
  if (depth >= kMaxDepth) {
    fail("may hold expressions of so many levels", std::to_string(kMaxDepth));
  }
  return {
      .kind = kind,
      .text = std::move(text),
      .literal = {},
      .parts = std::move(parts),
      .names = {},
      .depth = depth + 1};
}

TemplateExpression TemplateExpressionParser::expression() {
  const Level level(*this);
  Expression value = either();
  while (take_word("if")) {
    Expression condition = either();
    Expression otherwise = take_word("else") ? expression() : literal(std::string());
    value = make(
        Kind::kConditional, "", {std::move(value), std::move(condition), std::move(otherwise)});
  }
  return value;
}

TemplateExpression TemplateExpressionParser::either() {
  Expression left = both();
  while (take_word("or")) {
    left = binary("or", std::move(left), both());
  }
  return left;
}
TemplateExpression TemplateExpressionParser::both() {
  Expression left = negation();
  while (take_word("and")) {
    left = binary("and", std::move(left), negation());
  }
  return left;
}
TemplateExpression TemplateExpressionParser::negation() {
  const Level level(*this);
  if (take_word("not")) {
    return make(Kind::kUnary, "not", {negation()});
  }
  return comparison();
}
TemplateExpression TemplateExpressionParser::comparison() {
  Expression left = sum();
  for (;;) {
    if (const auto sign = one_of({"==", "!=", "<=", ">=", "<", ">"})) {
      left = binary(*sign, std::move(left), sum());
    } else if (take_word("in")) {
      left = binary("in", std::move(left), sum());
    } else if (is("not", Token::Kind::kName) && tokens_[at_ + 1].text == "in") {
      at_ += 2;
      left = make(Kind::kUnary, "not", {binary("in", std::move(left), sum())});
    } else {
      return left;
    }
  }
}
TemplateExpression TemplateExpressionParser::sum() {
  Expression left = joined();
  while (const auto sign = one_of({"+", "-"})) {
    left = binary(*sign, std::move(left), joined());
  }
  return left;
}
TemplateExpression TemplateExpressionParser::joined() {
  Expression left = product();
  while (take("~")) {
    left = binary("~", std::move(left), product());
  }
  return left;
}
TemplateExpression TemplateExpressionParser::product() {
  Expression left = signed_value();
  while (const auto sign = one_of({"*", "//", "%", "/"})) {
    left = binary(*sign, std::move(left), signed_value());
  }
  return left;
}
TemplateExpression TemplateExpressionParser::signed_value() {
  const Level level(*this);
  if (take("-")) {
    return make(Kind::kUnary, "-", {signed_value()});
  }
  return filtered(with_parts(primary()));
}

std::optional<std::string> TemplateExpressionParser::one_of(
    std::initializer_list<std::string_view> signs) {
  for (const std::string_view sign : signs) {
    if (take(sign)) {
      return std::string(sign);
    }
  }
  return std::nullopt;
}
TemplateExpression
TemplateExpressionParser::binary(std::string sign, Expression left, Expression right) const {
  return make(Kind::kBinary, std::move(sign), {std::move(left), std::move(right)});
}

TemplateExpression TemplateExpressionParser::primary() {
  const Token token = tokens_[at_++];
  if (token.kind == Token::Kind::kString) {
    std::string text = token.text;
    while (now().kind == Token::Kind::kString) {
      text += tokens_[at_++].text;
    }
    return literal(std::move(text));
  }
  if (token.kind == Token::Kind::kNumber) {
    std::int64_t whole = 0;
    const char* last = token.text.data() + token.text.size();
    const auto [rest, error] = std::from_chars(token.text.data(), last, whole);
    if (error != std::errc() || rest != last) {
      fail("may hold whole numbers alone", token.text);
    }
    return literal(whole);
  }
  if (token.kind == Token::Kind::kName) {
    for (const auto& [word, value] :
         {std::pair("true", true), {"True", true}, {"false", false}, {"False", false}}) {
      if (token.text == word) {
        return literal(value);
      }
    }
    return token.text == "none" || token.text == "None" ? literal(std::monostate())
                                                        : make(Kind::kName, token.text);
  }
  if (token.text == "(" && token.kind == Token::Kind::kSign) {
    Expression inner = expression();
    if (is(",")) {
      inner = make(Kind::kList, "", {std::move(inner)});
      while (take(",") && !is(")")) {
        inner.parts.push_back(expression());
      }
    }
    expect(")");
    return inner;
  }
  if (token.text == "[" && token.kind == Token::Kind::kSign) {
    Expression list = make(Kind::kList, "");
    while (!take("]")) {
      list.parts.push_back(expression());
      if (!is("]")) {
        expect(",");
      }
    }
    return list;
  }
  if (token.text == "{" && token.kind == Token::Kind::kSign) {
    Expression dict = make(Kind::kDict, "");
    while (!take("}")) {
      dict.parts.push_back(expression());
      expect(":");
      dict.parts.push_back(expression());
      if (!is("}")) {
        expect(",");
      }
    }
    return dict;
  }
  --at_;
  fail("needs a value here", token.text);
}

TemplateExpression TemplateExpressionParser::with_parts(Expression value) {
  for (;;) {
    if (take(".")) {
      value = make(Kind::kAttribute, name(), {std::move(value)});
    } else if (take("[")) {
      value = item(std::move(value));
    } else if (take("(")) {
      value = make(Kind::kCall, "", {std::move(value)});
      arguments(value);
    } else {
      return value;
    }
  }
}

TemplateExpression TemplateExpressionParser::item(Expression value) {
  std::vector<Expression> places;
  bool slice = false;
  for (;;) {
    places.push_back(is(":") || is("]") ? literal(std::monostate()) : expression());
    if (!take(":")) {
      break;
    }
    slice = true;
  }
  expect("]");
  if (!slice) {
    return make(Kind::kItem, "", {std::move(value), std::move(places[0])});
  }
  places.resize(3, literal(std::monostate()));
  return make(
      Kind::kSlice,
      "",
      {std::move(value), std::move(places[0]), std::move(places[1]), std::move(places[2])});
}

void TemplateExpressionParser::arguments(Expression& call) {
  while (!take(")")) {
    if (now().kind == Token::Kind::kName && tokens_[at_ + 1].text == "=" &&
        tokens_[at_ + 1].kind == Token::Kind::kSign) {
      call.names.push_back(name());
      ++at_;
    } else if (!call.names.empty()) {
      fail("must give arguments by name last", now().text);
    }
    call.parts.push_back(expression());
    if (!is(")")) {
      expect(",");
    }
  }
}

TemplateExpression TemplateExpressionParser::filtered(Expression value) {
  for (;;) {
    if (take("|")) {
      value = make(Kind::kFilter, name(), {std::move(value)});
      if (take("(")) {
        arguments(value);
      }
      value = with_parts(std::move(value));
    } else if (take_word("is")) {
      const bool negated = take_word("not");
      value = make(Kind::kTest, name(), {std::move(value)});
      if (take("(")) {
        arguments(value);
      }
      if (negated) {
        value = make(Kind::kUnary, "not", {std::move(value)});
      }
    } else {
      return value;
    }
  }
}

} // namespace fcc
