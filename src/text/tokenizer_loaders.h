#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "fcc/text/tokenizer.h"

namespace fcc {

/// The whole file. Real ones have up to some 40 MB, and reading takes several times the size in
/// memory: one over 128 MiB is refused. Errors: `IoError`, `FormatError`.
std::string read_tokenizer_file(const std::filesystem::path& file);

// One function a kind of file, for `make_tokenizer`. `file` is there; errors: `FormatError`.

std::shared_ptr<const Tokenizer> load_huggingface_tokenizer(const std::filesystem::path& file);
/// A rank file without `tiktoken.json` is taken for Llama-3's if it is that very file; in a
/// directory that was saved when any was taken for it, by what the saved hash vouches for.
enum class WithoutSettings { kRefuse, kLlama3 };
std::shared_ptr<const Tokenizer> load_tiktoken_tokenizer(
    const std::filesystem::path& file,
    WithoutSettings without = WithoutSettings::kRefuse);
std::shared_ptr<const Tokenizer> load_words_tokenizer(const std::filesystem::path& file);
std::shared_ptr<const Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& file);

} // namespace fcc
