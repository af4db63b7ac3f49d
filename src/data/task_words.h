#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fcc/core/error.h"

namespace fcc {

class Random;

/// What needles are named and what they hide: drawn from lists that no training data set has.

std::string draw_digits(std::int64_t num_digits, Random& random); ///< the first is not 0
std::string draw_word_pair(Random& random);                       ///< "quiet-lantern"
std::string draw_uuid(Random& random);                            ///< RFC 9562, version 4
std::string draw_variable(Random& random);                        ///< five capital letters
std::string draw_plain_word(Random& random);                      ///< "lantern"

/// What `draw` gives that is not among `others`. Errors: `ConfigError` where there is no more.
template <typename Draw>
std::string draw_unlike(const std::vector<std::string>& others, Draw draw) {
  constexpr int kMostDraws = 10000; // one digit has ten values
  for (int i = 0; i < kMostDraws; ++i) {
    std::string drawn = draw();
    if (std::find(others.begin(), others.end(), drawn) == others.end()) {
      return drawn;
    }
  }
  throw ConfigError("task", "digits are too few for so many different values");
}

} // namespace fcc
