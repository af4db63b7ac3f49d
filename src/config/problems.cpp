#include "fcc/config/problems.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "config/foreign_names.h"
#include "config/misplaced_key.h"
#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/core/nearest.h"

namespace fcc {
namespace {

/// The file from top to bottom, then the overrides in their order.
int rank_of(int line) {
  return line >= 0 ? line : std::numeric_limits<int>::max() / 2 - line;
}

} // namespace

Problems::Problems(std::string source, std::vector<std::string> overrides)
    : source_(std::move(source)), overrides_(std::move(overrides)) {}

void Problems::add(
    std::string_view path,
    std::string_view rule,
    std::string_view value,
    std::string_view hint) {
  const std::string full = path.empty() ? scope_ : json_path(scope_, path);
  const bool is_known =
      std::any_of(problems_.begin(), problems_.end(), [&](const Problem& problem) {
        return problem.path == full;
      });
  if (!is_known) {
    add_at(line_of(full), full, rule, value, hint);
  }
}

void Problems::add_at(
    int line,
    std::string_view path,
    std::string_view rule,
    std::string_view value,
    std::string_view hint) {
  problems_.push_back(
      {line, std::string(path), std::string(rule), std::string(value), std::string(hint)});
}

void Problems::set_line(const std::string& path, int line) {
  lines_[path] = line;
}

int Problems::line_of(std::string_view path) const {
  while (true) {
    if (const auto found = lines_.find(path); found != lines_.end()) {
      return found->second;
    }
    const std::size_t dot = path.rfind('.');
    if (dot == std::string_view::npos) {
      return 0;
    }
    path = path.substr(0, dot);
  }
}

std::string Problems::place(int line) const {
  if (line < 0) {
    return "--set " + overrides_.at(static_cast<std::size_t>(-line) - 1);
  }
  return line == 0 ? source_ : source_ + ":" + std::to_string(line);
}

std::string Problems::hint_for_unknown(
    std::string_view path,
    const std::vector<std::string>& siblings) const {
  const std::vector<std::string> paths = key_paths_ ? key_paths_() : std::vector<std::string>();
  if (std::optional<std::string> foreign = foreign_hint(path, paths)) {
    return *std::move(foreign);
  }
  if (std::string elsewhere = misplaced_key_hint(path, paths); !elsewhere.empty()) {
    return elsewhere;
  }
  std::vector<std::string> admitted = siblings;
  admitted.emplace_back("comment");
  return nearest_hint(path.substr(path.rfind('.') + 1), admitted);
}

void Problems::throw_if_any() const {
  if (problems_.empty()) {
    return;
  }
  std::vector<Problem> ordered = problems_;
  std::stable_sort(ordered.begin(), ordered.end(), [](const Problem& a, const Problem& b) {
    return rank_of(a.line) < rank_of(b.line);
  });
  std::vector<ConfigError> errors;
  for (const Problem& problem : ordered) {
    const std::string where = place(problem.line);
    errors.emplace_back(
        problem.path.empty() ? where : where + ": " + problem.path,
        problem.rule,
        problem.value,
        problem.hint);
  }
  if (errors.size() == 1) {
    throw errors[0];
  }
  std::string list = std::to_string(errors.size()) + " problems";
  for (const ConfigError& error : errors) {
    list += "\n  ";
    list += error.what();
  }
  throw ConfigError(source_, list);
}

Problems::Scope::Scope(Problems& problems, std::string_view path)
    : problems_(problems), outer_(problems.scope_) {
  problems_.scope_ = json_path(outer_, path);
}

Problems::Scope::~Scope() {
  problems_.scope_ = std::move(outer_);
}

} // namespace fcc
