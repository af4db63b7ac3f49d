#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"

namespace fcc::fuzz {

/// Any bytes may be encoded; what comes out are ids of the vocabulary, which can be decoded.
inline void try_tokenizer(const Tokenizer& tokenizer) {
  for (const std::string_view text :
       {"The 12th \u2581 of May,\n\n  don't <|endoftext|></s> ...",
        "\xff\xc3 \xe2\x96\x81 \0 a",
        ""}) {
    std::vector<std::int32_t> ids;
    try {
      tokenizer.encode(text, ids);
      tokenizer.encode_with_special(text, ids);
    } catch (const Error&) {
      // A text can be refused: a pattern that gives up, a word that is not there.
    }
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= tokenizer.vocab_size()) {
        std::abort();
      }
    }
    tokenizer.decode(ids);
  }
}

} // namespace fcc::fuzz
