#pragma once

#include <string>
#include <utility>
#include <vector>

namespace fcc {

class GgufFile;

/// The tokenizer of a GGUF file as Hugging Face's files, name and content: `tokenizer.json` and
/// `tokenizer_config.json` (with the chat template, if there is one).
///
/// Byte-level BPE (`tokenizer.ggml.model` = gpt2) with the pre-tokenizers gpt-2, smollm, starcoder,
/// refact and llama-bpe. A GGUF file names its pre-tokenizer without its pattern: others are
/// refused by name, as are SentencePiece's, so that no id is ever wrong in silence.
/// Errors: `FormatError`.
std::vector<std::pair<std::string, std::string>> gguf_tokenizer_files(const GgufFile& file);

} // namespace fcc
