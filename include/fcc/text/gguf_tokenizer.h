#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "fcc/io/gguf.h"

namespace fcc {

/// The tokenizer of a GGUF file as Hugging Face's files, name and content: `tokenizer.json` and
/// `tokenizer_config.json` (with the chat template, if there is one).
///
/// Byte-level BPE (`tokenizer.ggml.model` = gpt2) with the pre-tokenizers gpt-2, smollm, starcoder,
/// refact and llama-bpe. A GGUF file names its pre-tokenizer without its pattern: others are
/// refused by name, as are SentencePiece's, so that no id is ever wrong in silence.
/// Errors: `FormatError`.
std::vector<std::pair<std::string, std::string>> gguf_tokenizer_files(const GgufFile& file);

/// The keys `tokenizer.ggml.*` (and the chat template) of a GGUF file, for the tokenizer in
/// `directory`: byte-level BPE of the pre-tokenizers above (`gpt-2`, `smollm`, `llama-bpe`), or
/// SentencePiece's BPE (`tokenizer.ggml.model` = llama). Ids up to `vocab_size` that the tokenizer
/// lacks become unused tokens. Errors: `FormatError` naming what llama.cpp has no word for (another
/// splitting, a normalizer, Unigram, bytes, words).
std::vector<std::pair<std::string, GgufValue>> gguf_tokenizer_metadata(
    const std::filesystem::path& directory,
    std::int64_t vocab_size);

} // namespace fcc
