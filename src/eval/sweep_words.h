#pragma once

#include <cstdint>
#include <string>

namespace fcc {

class Random;

/// What needles are named and what they hide: drawn from lists that no training data set has.

std::string draw_digits(std::int64_t num_digits, Random& random); ///< the first is not 0
std::string draw_word_pair(Random& random);                       ///< "quiet-lantern"
std::string draw_uuid(Random& random);                            ///< RFC 9562, version 4
std::string draw_variable(Random& random);                        ///< five capital letters

} // namespace fcc
