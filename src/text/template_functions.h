#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fcc/core/json.h"

namespace fcc {

/// A value of a chat template; absent: undefined.
using TemplateValue = std::optional<JsonValue>;

struct TemplateArguments {
  std::vector<TemplateValue> values; ///< by place
  std::vector<std::pair<std::string, TemplateValue>> named;
};

inline constexpr std::size_t kMaxTemplateTextBytes = std::size_t{16} << 20;

/// `text`. Errors: `FormatError` if it is longer than a template's texts may be.
std::string checked_text(std::string text, const std::string& source);

/// As Python has it: nothing, false, 0, and what is empty are false.
bool is_true(const TemplateValue& value);

/// What `{{ value }}` prints. Errors: `FormatError` for a list or a dict: nobody means that.
std::string printed(const TemplateValue& value, const std::string& source);

/// `a == b`, as Python has it for values of one kind.
bool is_equal(const TemplateValue& a, const TemplateValue& b);

/// `container[key]`; undefined where there is no such element.
TemplateValue element(const TemplateValue& container, const TemplateValue& key);

/// `container[first:last:step]`. Errors: `FormatError` unless it is a text or a list.
TemplateValue slice(
    const TemplateValue& container,
    const TemplateValue& first,
    const TemplateValue& last,
    const TemplateValue& step,
    const std::string& source);

/// `value | name(arguments)`. Errors: `FormatError` where the filter is not known here.
TemplateValue apply_filter(
    const TemplateValue& value,
    const std::string& name,
    const TemplateArguments& arguments,
    const std::string& source);

/// `value.name(arguments)`. Errors: `FormatError` where the method is not known here.
TemplateValue call_method(
    const TemplateValue& value,
    const std::string& name,
    const TemplateArguments& arguments,
    const std::string& source);

} // namespace fcc
