#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fcc/text/tokenizer.h"
#include "text/added_tokens.h"
#include "text/bpe_merger.h"

namespace fcc {

/// One step of cutting text into pieces; the next step cuts what this one leaves.
struct SplitStep {
  std::optional<std::string> pattern; ///< absent: only the prefix
  bool add_prefix_space = false;      ///< to what does not begin with a space, before the pattern
};

/// All that defines a byte-level BPE tokenizer, whatever file it came from.
struct BpeSpec {
  std::string kind;                ///< `huggingface` or `tiktoken`
  std::string source;              ///< the file, for error texts
  std::vector<std::string> tokens; ///< bytes by id; of an added token, its text
  std::vector<bool> whole;         ///< by id: a piece with these bytes may be taken whole
  std::vector<BpeMerge> merges;
  ByteIds bytes;
  bool ignore_merges = false; ///< a piece that is a token as a whole becomes that token
  std::vector<SplitStep> steps;
  std::vector<AddedToken> added_tokens;
  std::optional<std::int32_t> bos, eos;
  std::vector<std::int32_t> ends; ///< where generation stops, `eos` included
  std::vector<std::pair<std::string, std::string>> files; ///< names and contents for `save`
};

/// Byte-level BPE. Text → added tokens are taken out → the rest is cut into valid UTF-8 and single
/// broken bytes → pieces by the split steps → ids by merging.
///
/// A byte that is no part of valid UTF-8 becomes the token of that byte alone, and the text on both
/// sides is encoded as if it ended there; so `decode(encode(x)) == x` for all bytes, where Hugging
/// Face's and tiktoken's own functions see only text, in which such bytes were replaced before.
/// (It holds unless the vocabulary lacks bytes, or the file asks for a prefix space.)
std::shared_ptr<const Tokenizer> make_bpe_tokenizer(BpeSpec spec);

} // namespace fcc
