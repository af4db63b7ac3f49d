#include "fcc/core/error.h"
#include "text/template_expressions.h"

namespace fcc {
namespace {

using Statement = TemplateStatement;

class Parser : private TemplateExpressionParser {
 public:
  Parser(std::vector<TemplateToken> tokens, const std::string& source)
      : TemplateExpressionParser(std::move(tokens), source) {}

  std::vector<Statement> run() {
    std::vector<Statement> statements = block();
    if (now().kind != Token::Kind::kEndOfFile) {
      fail("must have a beginning", "{% " + tokens_[at_ + 1].text);
    }
    return statements;
  }

 private:
  /// Statements until a tag that begins with none that is known here (`endif`, `else`, …).
  std::vector<Statement> block() {
    const Level level(*this);
    std::vector<Statement> statements;
    while (now().kind != Token::Kind::kEndOfFile) {
      if (now().kind == Token::Kind::kText) {
        statements.push_back({.kind = Statement::Kind::kText, .text = tokens_[at_++].text});
      } else if (is("{{", Token::Kind::kBegin)) {
        ++at_;
        statements.push_back({.kind = Statement::Kind::kOutput, .expression = expression()});
        expect("}}", Token::Kind::kEnd);
      } else {
        const std::string word = tokens_[at_ + 1].text;
        if (word.starts_with("end") || word == "else" || word == "elif") {
          break;
        }
        at_ += 2;
        statement(word, statements);
      }
    }
    return statements;
  }

  void statement(const std::string& word, std::vector<Statement>& statements) {
    if (word == "if") {
      statements.push_back(rest_of_if());
    } else if (word == "for") {
      statements.push_back(rest_of_for());
    } else if (word == "set") {
      statements.push_back(rest_of_set());
    } else if (word == "generation") { // marks what is trained on
      expect("%}", Token::Kind::kEnd);
      for (Statement& inner : block()) {
        statements.push_back(std::move(inner));
      }
      end("endgeneration");
    } else {
      fail("may hold if, for and set alone", word);
    }
  }

  void end(std::string_view word) {
    expect("{%", Token::Kind::kBegin);
    expect(word, Token::Kind::kName);
    expect("%}", Token::Kind::kEnd);
  }
  bool take_tag(std::string_view word) {
    const bool taken = is("{%", Token::Kind::kBegin) && tokens_[at_ + 1].text == word;
    at_ += taken ? 2 : 0;
    return taken;
  }

  Statement rest_of_if() {
    const Level level(*this);
    Statement made{.kind = Statement::Kind::kIf, .expression = expression()};
    expect("%}", Token::Kind::kEnd);
    made.body = block();
    if (take_tag("elif")) {
      made.otherwise.push_back(rest_of_if());
      return made;
    }
    if (take_tag("else")) {
      expect("%}", Token::Kind::kEnd);
      made.otherwise = block();
    }
    end("endif");
    return made;
  }

  Statement rest_of_for() {
    Statement made{.kind = Statement::Kind::kFor};
    do {
      made.names.push_back(name());
    } while (take(","));
    expect("in", Token::Kind::kName);
    made.expression = either(); // `if` is the loop's condition
    made.has_condition = take_word("if");
    if (made.has_condition) {
      made.condition = expression();
    }
    expect("%}", Token::Kind::kEnd);
    made.body = block();
    if (take_tag("else")) {
      expect("%}", Token::Kind::kEnd);
      made.otherwise = block();
    }
    end("endfor");
    return made;
  }

  Statement rest_of_set() {
    Statement made{.kind = Statement::Kind::kSet, .names = {name()}};
    if (take(".")) {
      made.names.push_back(name());
    }
    expect("=");
    made.expression = expression();
    expect("%}", Token::Kind::kEnd);
    return made;
  }
};

} // namespace

std::vector<TemplateStatement> parse_template(std::string_view text, const std::string& source) {
  constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
  if (text.size() > kMaxBytes) {
    throw FormatError(
        source, "a template may have at most 1 MiB", std::to_string(text.size()) + " bytes");
  }
  return Parser(cut_template(text, source), source).run();
}

} // namespace fcc
