#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fcc {

/// Collects everything that is wrong with a configuration, to report it in one go.
class Problems {
 public:
  /// `source` names the file; `overrides` are the texts of `--set`, which lines -1, -2, … mean.
  explicit Problems(std::string source, std::vector<std::string> overrides = {});

  /// Notes that the key at `path` (relative to the open scopes) breaks a rule between keys, unless
  /// that key has a problem already: what follows from it would only confuse.
  void add(
      std::string_view path,
      std::string_view rule,
      std::string_view value = {},
      std::string_view hint = {});

  /// Notes a problem at a line of its own, for readers.
  void add_at(
      int line,
      std::string_view path,
      std::string_view rule,
      std::string_view value = {},
      std::string_view hint = {});

  /// Tells where the key at the full path `path` stands; keys without a line take their parent's.
  void set_line(const std::string& path, int line);

  /// Gives every key's path (`train.stages.N.steps`), for hints to keys that stand elsewhere.
  void set_key_paths(std::function<std::vector<std::string>()> key_paths) {
    key_paths_ = std::move(key_paths);
  }

  /// What the unknown key at the full path `path` may have meant: what stands here for a name of
  /// other frameworks, else the same name elsewhere in the configuration, else the nearest of
  /// `siblings` and `comment`. Empty if there is none.
  std::string hint_for_unknown(std::string_view path, const std::vector<std::string>& siblings)
      const;

  bool empty() const {
    return problems_.empty();
  }

  /// Errors: one `ConfigError` that lists all problems, each with place, path, rule, value and
  /// hint, in the order of the lines.
  void throw_if_any() const;

  /// Puts `path` before the paths of `add` as long as it lives.
  class Scope {
   public:
    Scope(Problems& problems, std::string_view path);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Problems& problems_;
    std::string outer_;
  };

 private:
  struct Problem {
    int line = 0;
    std::string path, rule, value, hint;
  };

  int line_of(std::string_view path) const;
  std::string place(int line) const;

  std::string source_;
  std::vector<std::string> overrides_;
  std::string scope_;
  std::map<std::string, int, std::less<>> lines_;
  std::function<std::vector<std::string>()> key_paths_;
  std::vector<Problem> problems_;
};

} // namespace fcc
