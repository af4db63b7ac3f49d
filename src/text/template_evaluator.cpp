#include "text/template_evaluator.h"

#include <array>

#include "fcc/core/error.h"

namespace fcc {
namespace {

using Expression = TemplateExpression;
using Statement = TemplateStatement;
using Array = JsonValue::Array;
using Object = JsonValue::Object;

JsonValue json(JsonValue::Variant value) {
  return JsonValue(std::move(value));
}

template <typename T>
const T* as(const TemplateValue& value) {
  return value ? value->as<T>() : nullptr;
}

std::int64_t bytes_of(const JsonValue& value) {
  auto bytes = static_cast<std::int64_t>(sizeof(value));
  if (const auto* text = value.as<std::string>()) {
    bytes += std::ssize(*text);
  } else if (const auto* list = value.as<Array>()) {
    for (const JsonValue& part : *list) {
      bytes += bytes_of(part);
    }
  } else if (const auto* dict = value.as<Object>()) {
    for (const JsonMember& member : *dict) {
      bytes += std::ssize(member.key) + bytes_of(member.value);
    }
  }
  return bytes;
}

/// `needle in haystack`.
bool contains(const TemplateValue& haystack, const TemplateValue& needle) {
  const auto* text = as<std::string>(needle);
  if (const auto* whole = as<std::string>(haystack)) {
    return text != nullptr && whole->find(*text) != std::string::npos;
  }
  if (const auto* list = as<Array>(haystack)) {
    for (const JsonValue& part : *list) {
      if (is_equal(part, needle)) {
        return true;
      }
    }
    return false;
  }
  return text != nullptr && haystack && haystack->find(*text) != nullptr;
}

} // namespace

TemplateEvaluator::TemplateEvaluator(
    std::map<std::string, TemplateValue> variables,
    std::time_t now,
    const std::string& source)
    : scopes_{std::move(variables)}, now_(now), source_(source) {}

std::string TemplateEvaluator::run(const std::vector<Statement>& statements) {
  execute(statements);
  return std::move(out_);
}

void TemplateEvaluator::count_steps(std::int64_t num_steps) {
  constexpr std::int64_t kMaxSteps = 1'000'000;
  num_steps_ += num_steps;
  if (num_steps_ > kMaxSteps || out_.size() > kMaxTemplateTextBytes) {
    throw FormatError(source_, "a template may take a million steps and write 16 MiB");
  }
}

/// A value that was made or copied, counted for its size.
TemplateValue TemplateEvaluator::kept(TemplateValue value) {
  count_steps(value ? bytes_of(*value) / 4096 : 0);
  return value;
}

void TemplateEvaluator::execute(const std::vector<Statement>& statements) {
  for (const Statement& statement : statements) {
    count_steps();
    switch (statement.kind) {
      case Statement::Kind::kText:
        out_ += statement.text;
        break;
      case Statement::Kind::kOutput:
        out_ += printed(evaluate(statement.expression), source_);
        break;
      case Statement::Kind::kIf:
        execute(is_true(evaluate(statement.expression)) ? statement.body : statement.otherwise);
        break;
      case Statement::Kind::kFor:
        loop(statement);
        break;
      case Statement::Kind::kSet:
        assign(statement);
        break;
    }
  }
}

void TemplateEvaluator::loop(const Statement& statement) {
  const TemplateValue over = evaluate(statement.expression);
  Array elements;
  if (const auto* list = as<Array>(over)) {
    elements = *list;
  } else if (const auto* dict = as<Object>(over)) {
    for (const JsonMember& member : *dict) {
      elements.push_back(json(member.key));
    }
  } else if (over) {
    throw FormatError(
        source_,
        "a template may loop over lists and dicts alone",
        std::string(json_type_name(*over)));
  }
  const auto bind = [&](const JsonValue& value) {
    Scope scope;
    if (statement.names.size() == 1) {
      scope[statement.names[0]] = value;
    } else {
      for (std::size_t i = 0; i < statement.names.size(); ++i) {
        scope[statement.names[i]] = element(value, json(static_cast<std::int64_t>(i)));
      }
    }
    scopes_.push_back(std::move(scope));
  };
  if (statement.has_condition) {
    Array kept;
    for (const JsonValue& value : elements) {
      count_steps();
      bind(value);
      if (is_true(evaluate(statement.condition))) {
        kept.push_back(value);
      }
      scopes_.pop_back();
    }
    elements = std::move(kept);
  }
  const std::int64_t count = std::ssize(elements);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    bind(elements[at]);
    Object state;
    state.emplace_back("index", json(i + 1));
    state.emplace_back("index0", json(i));
    state.emplace_back("revindex", json(count - i));
    state.emplace_back("revindex0", json(count - i - 1));
    state.emplace_back("first", json(i == 0));
    state.emplace_back("last", json(i + 1 == count));
    state.emplace_back("length", json(count));
    if (i > 0) {
      state.emplace_back("previtem", elements[at - 1]);
    }
    if (i + 1 < count) {
      state.emplace_back("nextitem", elements[at + 1]);
    }
    scopes_.back()["loop"] = json(std::move(state));
    execute(statement.body);
    scopes_.pop_back();
  }
  if (count == 0) {
    execute(statement.otherwise);
  }
}

void TemplateEvaluator::assign(const Statement& statement) {
  TemplateValue value = evaluate(statement.expression);
  if (statement.names.size() == 1) {
    scopes_.back()[statement.names[0]] = std::move(value);
    return;
  }
  TemplateValue* target = find(statement.names[0]);
  auto* members = target != nullptr && *target ? (*target)->as<Object>() : nullptr;
  if (members == nullptr) {
    throw FormatError(
        source_, "a template may set members of a namespace alone", statement.names[0]);
  }
  if (JsonValue* member = (*target)->find(statement.names[1])) {
    *member = value.value_or(JsonValue());
  } else {
    members->emplace_back(statement.names[1], value.value_or(JsonValue()));
  }
}

TemplateValue* TemplateEvaluator::find(const std::string& name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto found = scope->find(name); found != scope->end()) {
      return &found->second;
    }
  }
  return nullptr;
}

TemplateValue TemplateEvaluator::evaluate(const Expression& expression) {
  count_steps();
  const auto& parts = expression.parts;
  switch (expression.kind) {
    case Expression::Kind::kLiteral:
      return expression.literal;
    case Expression::Kind::kName: {
      const TemplateValue* found = find(expression.text);
      return found == nullptr ? TemplateValue() : kept(*found);
    }
    case Expression::Kind::kList: {
      Array list;
      for (const Expression& part : parts) {
        list.push_back(evaluate(part).value_or(JsonValue()));
      }
      return json(std::move(list));
    }
    case Expression::Kind::kDict: {
      Object dict;
      for (std::size_t i = 0; i + 1 < parts.size(); i += 2) {
        dict.emplace_back(
            printed(evaluate(parts[i]), source_), evaluate(parts[i + 1]).value_or(JsonValue()));
      }
      return json(std::move(dict));
    }
    case Expression::Kind::kAttribute:
    case Expression::Kind::kItem:
      return kept(item(expression));
    case Expression::Kind::kSlice:
      return slice(
          evaluate(parts[0]), evaluate(parts[1]), evaluate(parts[2]), evaluate(parts[3]), source_);
    case Expression::Kind::kCall:
      return kept(call(expression));
    case Expression::Kind::kFilter:
      return kept(
          apply_filter(evaluate(parts[0]), expression.text, arguments_of(expression), source_));
    case Expression::Kind::kTest:
      return test(expression);
    case Expression::Kind::kUnary: {
      const TemplateValue value = evaluate(parts[0]);
      if (expression.text == "not") {
        return json(!is_true(value));
      }
      const auto* whole = as<std::int64_t>(value);
      if (whole == nullptr || *whole == INT64_MIN) {
        throw FormatError(source_, "a template needs a number behind a minus");
      }
      return json(-*whole);
    }
    case Expression::Kind::kBinary:
      return kept(binary(expression));
    case Expression::Kind::kConditional:
      return evaluate(parts[is_true(evaluate(parts[1])) ? 0 : 2]);
  }
  return std::nullopt;
}

TemplateValue TemplateEvaluator::item(const Expression& expression) {
  const TemplateValue container = evaluate(expression.parts[0]);
  const TemplateValue key = expression.kind == Expression::Kind::kAttribute
                                ? TemplateValue(json(expression.text))
                                : evaluate(expression.parts[1]);
  if (!container) { // as in Jinja: a part of nothing is a mistake, not nothing
    throw FormatError(
        source_, "a template asks for a part of what is not there", printed(key, source_));
  }
  return element(container, key);
}

TemplateValue TemplateEvaluator::binary(const Expression& expression) {
  const std::string& sign = expression.text;
  TemplateValue left = evaluate(expression.parts[0]);
  if (sign == "and" || sign == "or") {
    return is_true(left) == (sign == "and") ? evaluate(expression.parts[1]) : left;
  }
  const TemplateValue right = evaluate(expression.parts[1]);
  if (sign == "==" || sign == "!=") {
    return json(is_equal(left, right) == (sign == "=="));
  }
  if (sign == "in") {
    return json(contains(right, left));
  }
  if (sign == "~") {
    return json(checked_text(printed(left, source_) + printed(right, source_), source_));
  }
  const auto *a = as<std::int64_t>(left), *b = as<std::int64_t>(right);
  if (a != nullptr && b != nullptr) {
    std::int64_t result = 0;
    if (sign == "<" || sign == ">" || sign == "<=" || sign == ">=") {
      return json(
          sign == "<"    ? *a < *b
          : sign == ">"  ? *a > *b
          : sign == "<=" ? *a <= *b
                         : *a >= *b);
    }
    const bool divides = (sign == "%" || sign == "//") && *b > 0;
    const bool fits = sign == "+"   ? !__builtin_add_overflow(*a, *b, &result)
                      : sign == "-" ? !__builtin_sub_overflow(*a, *b, &result)
                      : sign == "*" ? !__builtin_mul_overflow(*a, *b, &result)
                                    : divides;
    if (divides) { // towards less, as in Python
      const std::int64_t rest = (*a % *b + *b) % *b;
      result = sign == "%" ? rest : (*a - rest) / *b;
    }
    if (fits) {
      return json(result);
    }
  }
  if (sign == "+" && as<std::string>(left) != nullptr && as<std::string>(right) != nullptr) {
    return json(checked_text(*as<std::string>(left) + *as<std::string>(right), source_));
  }
  constexpr std::size_t kMaxElements = 100'000;
  if (sign == "+" && as<Array>(left) != nullptr && as<Array>(right) != nullptr) {
    Array list = *as<Array>(left);
    if (list.size() + as<Array>(right)->size() > kMaxElements) {
      throw FormatError(source_, "a template's list may have so many elements", "100000");
    }
    list.insert(list.end(), as<Array>(right)->begin(), as<Array>(right)->end());
    return json(std::move(list));
  }
  const auto type = [](const TemplateValue& value) {
    return value ? std::string(json_type_name(*value)) : "nothing";
  };
  throw FormatError(
      source_, "a template needs two of a kind for " + sign, type(left) + " and " + type(right));
}

TemplateArguments TemplateEvaluator::arguments_of(const Expression& expression) {
  TemplateArguments arguments;
  const std::size_t num_named = expression.names.size(),
                    first_named = expression.parts.size() - num_named;
  for (std::size_t i = 1; i < expression.parts.size(); ++i) {
    TemplateValue value = evaluate(expression.parts[i]);
    if (i < first_named) {
      arguments.values.push_back(std::move(value));
    } else {
      arguments.named.emplace_back(expression.names[i - first_named], std::move(value));
    }
  }
  return arguments;
}

TemplateValue TemplateEvaluator::call(const Expression& expression) {
  const Expression& target = expression.parts[0];
  const TemplateArguments arguments = arguments_of(expression);
  if (target.kind == Expression::Kind::kAttribute) {
    return call_method(evaluate(target.parts[0]), target.text, arguments, source_);
  }
  const TemplateValue first = arguments.values.empty() ? TemplateValue() : arguments.values[0];
  if (target.kind == Expression::Kind::kName && target.text == "raise_exception") {
    throw ConfigError(source_, "the chat template refuses these messages", printed(first, source_));
  }
  if (target.kind == Expression::Kind::kName && target.text == "namespace") {
    Object members;
    for (const auto& [name, value] : arguments.named) {
      members.emplace_back(name, value.value_or(JsonValue()));
    }
    return json(std::move(members));
  }
  if (target.kind == Expression::Kind::kName && target.text == "strftime_now") {
    std::array<char, 256> text{};
    std::tm parts{};
    localtime_r(&now_, &parts);
    const std::size_t size =
        std::strftime(text.data(), text.size(), printed(first, source_).c_str(), &parts);
    return json(std::string(text.data(), size));
  }
  throw FormatError(source_, "a template may call the functions that chats need", target.text);
}

TemplateValue TemplateEvaluator::test(const Expression& expression) {
  const std::string& name = expression.text;
  if (expression.parts[0].kind == Expression::Kind::kName && name == "defined") {
    for (const char* function : {"raise_exception", "namespace", "strftime_now"}) {
      if (expression.parts[0].text == function) {
        return json(true);
      }
    }
  }
  const TemplateValue value = evaluate(expression.parts[0]);
  const bool is_text = as<std::string>(value) != nullptr, is_list = as<Array>(value) != nullptr;
  const bool is_dict = as<Object>(value) != nullptr;
  const auto* whole = as<std::int64_t>(value);
  const std::array<std::pair<std::string_view, bool>, 14> known = {{
      {"defined", value.has_value()},
      {"undefined", !value},
      {"none", value && value->is_null()},
      {"string", is_text},
      {"mapping", is_dict},
      {"sequence", is_text || is_list || is_dict},
      {"iterable", is_text || is_list || is_dict},
      {"number", whole != nullptr},
      {"integer", whole != nullptr},
      {"boolean", as<bool>(value) != nullptr},
      {"true", as<bool>(value) != nullptr && *as<bool>(value)},
      {"false", as<bool>(value) != nullptr && !*as<bool>(value)},
      {"odd", whole != nullptr && *whole % 2 != 0},
      {"even", whole != nullptr && *whole % 2 == 0},
  }};
  for (const auto& [test_name, holds] : known) {
    if (name == test_name) {
      return json(holds);
    }
  }
  if ((name == "equalto" || name == "eq") && expression.parts.size() == 2) {
    return json(is_equal(value, evaluate(expression.parts[1])));
  }
  throw FormatError(source_, "a template may use the tests that chats need", name);
}

} // namespace fcc
