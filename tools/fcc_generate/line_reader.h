#pragma once

#include <functional>
#include <optional>
#include <string>

namespace fcc::tools {

/// Lines of standard input, between which signals are seen.
class LineReader {
 public:
  /// The next line, without its end; a line that ends in a backslash goes on in the next. Absent:
  /// the input has ended, or `on_signal`, which is called when a signal has come, said false.
  std::optional<std::string> next(const std::function<bool()>& on_signal);

 private:
  std::optional<std::string> one(const std::function<bool()>& on_signal);

  std::string buffer_;
  bool ended_ = false;
};

} // namespace fcc::tools
