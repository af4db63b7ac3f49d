#include "fcc_generate/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/interrupt.h"
#include "fcc/core/error.h"

namespace fcc::tools {

std::optional<std::string> LineReader::next(const std::function<bool()>& on_signal) {
  auto line = one(on_signal);
  while (line && line->ends_with('\\')) {
    line->back() = '\n';
    const auto more = one(on_signal);
    if (!more) {
      break;
    }
    *line += *more;
  }
  return line;
}

std::optional<std::string> LineReader::one(const std::function<bool()>& on_signal) {
  constexpr int kLookMs = 200; // a signal may come just before the wait
  for (;;) {
    if (interrupted() && !on_signal()) {
      return std::nullopt;
    }
    const std::size_t end = buffer_.find('\n');
    if (end != std::string::npos || (ended_ && !buffer_.empty())) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      if (line.ends_with('\r')) {
        line.pop_back();
      }
      return line;
    }
    if (ended_) {
      return std::nullopt;
    }
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (::poll(&input, 1, kLookMs) <= 0) {
      continue;
    }
    std::array<char, 4096> bytes{};
    const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    check(count >= 0 || errno == EINTR, "standard input", "must be readable");
    ended_ = count == 0;
    buffer_.append(bytes.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  }
}

} // namespace fcc::tools
