#pragma once

#include <string>

namespace fcc {

/// The stem of a word of ASCII letters (lower case) and digits: Porter, "An algorithm for suffix
/// stripping", 1980, with the extensions of NLTK's `PorterStemmer`, which `rouge-score` uses.
std::string porter_stem(std::string word);

} // namespace fcc
