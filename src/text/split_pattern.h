#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex_dialect.h"

namespace fcc {

/// A compiled split pattern: cuts text into its matches and what lies between them
/// (Hugging Face: `Split` with behavior `Isolated`). Nothing is lost. Immutable; runs on PCRE2 with
/// its just-in-time compiler.
class SplitPattern {
 public:
  /// Working memory of one thread.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(Scratch&&) noexcept;
    Scratch& operator=(Scratch&&) noexcept;

    /// Grants the steps for a text of `num_bytes`, whatever patterns it goes through.
    void begin_text(std::size_t num_bytes);

   private:
    friend class SplitPattern;
    struct State;
    std::unique_ptr<State> state_;
  };

  /// Errors: `FormatError` at `where` if the pattern does not compile or is not supported.
  SplitPattern(const std::string& pattern, const std::string& where);
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;

  /// Appends the ends of the next pieces of `text` (valid UTF-8, pieces before `start` are done)
  /// to `ends`, about `limit` of them at most, and returns where it stopped.
  /// `tables`: as `has_unicode_additions(text)` says. Errors: `Error` if the pattern runs away: if
  /// the steps that `begin_text` granted are used up.
  std::size_t cut(
      std::string_view text,
      std::size_t start,
      std::size_t limit,
      UnicodeTables tables,
      Scratch& scratch,
      std::vector<std::size_t>& ends) const;

 private:
  struct Code;
  std::unique_ptr<Code> library_, with_additions_;
};

} // namespace fcc
