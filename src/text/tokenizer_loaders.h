#pragma once

#include <filesystem>
#include <memory>

#include "fcc/text/tokenizer.h"

namespace fcc {

// One function a kind of file, for `make_tokenizer`. `file` is there; errors: `FormatError`.

std::shared_ptr<const Tokenizer> load_huggingface_tokenizer(const std::filesystem::path& file);
std::shared_ptr<const Tokenizer> load_tiktoken_tokenizer(const std::filesystem::path& file);
std::shared_ptr<const Tokenizer> load_words_tokenizer(const std::filesystem::path& file);
std::shared_ptr<const Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& file);

} // namespace fcc
