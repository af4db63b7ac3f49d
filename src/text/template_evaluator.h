#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "text/template_functions.h"
#include "text/template_syntax.h"

namespace fcc {

/// Runs a parsed template. One run an object.
class TemplateEvaluator {
 public:
  /// `now`: the time for `strftime_now`. `source` names the template in errors.
  TemplateEvaluator(
      std::map<std::string, TemplateValue> variables,
      std::time_t now,
      const std::string& source);

  /// The text that `statements` put out. Errors: `ConfigError` where the template calls
  /// `raise_exception`; `FormatError` where it asks for what is not known here, takes more than
  /// a million steps (4 KiB of a value copied are one), or makes a text of more than 16 MiB.
  std::string run(const std::vector<TemplateStatement>& statements);

 private:
  using Scope = std::map<std::string, TemplateValue>;

  void execute(const std::vector<TemplateStatement>& statements);
  void loop(const TemplateStatement& statement);
  void assign(const TemplateStatement& statement);
  TemplateValue evaluate(const TemplateExpression& expression);
  TemplateValue binary(const TemplateExpression& expression);
  TemplateValue call(const TemplateExpression& expression);
  TemplateValue test(const TemplateExpression& expression);
  TemplateValue item(const TemplateExpression& expression);
  TemplateArguments arguments_of(const TemplateExpression& expression);
  TemplateValue* find(const std::string& name);
  TemplateValue kept(TemplateValue value);
  void count_steps(std::int64_t num_steps = 1);

  std::vector<Scope> scopes_;
  std::time_t now_;
  const std::string& source_;
  std::string out_;
  std::int64_t num_steps_ = 0;
};

} // namespace fcc
