#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fcc/text/tokenizer.h"

namespace fcc {

/// Cuts text into the tokens of the `words` tokenizer: runs of letters (and of bytes above 127),
/// single digits, single ASCII punctuation marks; white space only separates.
/// "The pass key is 9054." → The pass key is 9 0 5 4 . The views point into `text`.
std::vector<std::string_view> split_words(std::string_view text);

/// The sorted distinct tokens of `texts`, after `specials` in their given order.
/// `<unk>`, `<s>` and `</s>` among them serve as unknown word, BOS and EOS.
std::vector<std::string> words_vocabulary(
    std::span<const std::string> texts,
    const std::vector<std::string>& specials = {"<unk>", "<s>", "</s>"});

/// A tokenizer over a list of words: the id is the place in the list.
/// `decode` puts one space between tokens, none inside numbers and around punctuation as in
/// English prose. Errors: `FormatError` on an empty or doubled token or one with white space;
/// `source` names the file in them.
std::shared_ptr<const Tokenizer> make_words_tokenizer(
    std::vector<std::string> vocabulary,
    const std::string& source = "vocabulary");

} // namespace fcc
