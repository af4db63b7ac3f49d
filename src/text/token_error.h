#pragma once

#include <cstdint>
#include <string>

#include "fcc/core/error.h"

namespace fcc {

/// Reports an id that `decode` cannot know.
[[noreturn]] inline void
throw_bad_id(const std::string& where, std::int64_t id, std::int64_t vocab_size) {
  throw Error(
      where, "a token id must lie in 0.." + std::to_string(vocab_size - 1), std::to_string(id));
}

} // namespace fcc
