#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fcc/core/json.h"

namespace fcc {

/// An expression of a chat template.
struct TemplateExpression {
  enum class Kind {
    kLiteral,     ///< `literal`
    kName,        ///< `text`
    kList,        ///< `parts`
    kDict,        ///< `parts`: key, value, key, value, …
    kAttribute,   ///< `parts[0].text`
    kItem,        ///< `parts[0][parts[1]]`
    kSlice,       ///< `parts[0][parts[1]:parts[2]:parts[3]]`, null literals where left out
    kCall,        ///< `parts[0](parts[1], …)`, the last ones by `names`
    kFilter,      ///< `parts[0] | text(parts[1], …)`, the last ones by `names`
    kTest,        ///< `parts[0] is text parts[1]`
    kUnary,       ///< `text parts[0]`: `not`, `-`
    kBinary,      ///< `parts[0] text parts[1]`
    kConditional, ///< `parts[0] if parts[1] else parts[2]`
  };
  Kind kind = Kind::kLiteral;
  std::string text;
  JsonValue literal;
  std::vector<TemplateExpression> parts;
  std::vector<std::string> names; ///< of the last arguments
  int depth = 1;                  ///< levels of expressions, this one's included
};

/// A statement of a chat template.
struct TemplateStatement {
  enum class Kind {
    kText,   ///< `text` as it stands
    kOutput, ///< `{{ expression }}`
    kIf,     ///< `body` if `expression`, else `otherwise`
    kFor,    ///< `body` for each `names` of `expression` (that meets `condition`), else `otherwise`
    kSet,    ///< `names[0] = expression`, or `names[0].names[1] = expression`
  };
  Kind kind = Kind::kText;
  std::string text = {};
  std::vector<std::string> names = {};
  TemplateExpression expression = {}, condition = {};
  bool has_condition = false;
  std::vector<TemplateStatement> body = {}, otherwise = {};
};

/// Parses the part of the Jinja language that chat templates use (output, `if`, `for`, `set`,
/// comments, white space control), white space as Hugging Face transformers have it
/// (`trim_blocks`, `lstrip_blocks`). `source` names the template in errors. Errors: `FormatError`
/// with the line, on anything else (`macro`, say), and on nesting of more than 60 levels (200 for
/// what stands in a row, as `a + b + c`).
std::vector<TemplateStatement> parse_template(std::string_view text, const std::string& source);

/// A token of the template's language outside text.
struct TemplateToken {
  enum class Kind { kText, kString, kNumber, kName, kSign, kBegin, kEnd, kEndOfFile };
  Kind kind = Kind::kEndOfFile;
  std::string text; ///< of kBegin and kEnd: `{{`, `}}`, `{%`, `%}`
  int line = 0;
};

/// Cuts a template into texts and the tokens of its tags. Errors: as `parse_template`.
std::vector<TemplateToken> cut_template(std::string_view text, const std::string& source);

} // namespace fcc
