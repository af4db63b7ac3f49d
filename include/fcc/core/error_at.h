#pragma once

#include <string>
#include <utility>

#include "fcc/core/error.h"

namespace fcc {

/// In a handler of an `Error`: throws it again with `place` before its own place; kind, rule, value
/// and hint stay.
[[noreturn]] void rethrow_at(const std::string& place);

/// What `body` returns. An `Error` that leaves it tells `place` first, as in `data.train.0.path:
/// texts.txt: must be …`: a file's error by the key that named the file.
template <typename Body>
auto with_place(const std::string& place, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Error&) {
    rethrow_at(place);
  }
}

} // namespace fcc
