#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fcc/config/run_config.h"

namespace fcc {

/// Text to token ids and back. Implementations are immutable and safe to share between threads:
/// documents can be encoded in parallel with one tokenizer.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids run from 0 to vocab_size() - 1.
  virtual std::int64_t vocab_size() const = 0;

  /// Appends the ids of `text` to `ids`; no BOS, no EOS, special tokens in the text are not parsed
  /// (they are spelled out as plain text). Any bytes are allowed, broken UTF-8 too.
  /// Errors: `Error` where a vocabulary of whole words lacks a word and has no `<unk>`.
  virtual void encode(std::string_view text, std::vector<std::int32_t>& ids) const = 0;

  /// As `encode`, but special tokens written out in `text` (`<|eot_id|>`, say) become their ids.
  /// For text one trusts: templates, not documents. Where a tokenizer has none, equal to `encode`.
  virtual void encode_with_special(std::string_view text, std::vector<std::int32_t>& ids) const {
    encode(text, ids);
  }

  /// The bytes of `ids`: of what `encode` made of a text, that text where every byte has a token
  /// and nothing is normalised (docs/formats.md says of which tokenizers this holds). (Not always
  /// whole UTF-8 characters; the stream decoder below waits for them.) Special tokens give nothing.
  /// Errors: `Error` on an id outside the vocabulary.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  virtual std::optional<std::int32_t> bos_id() const = 0;
  virtual std::optional<std::int32_t> eos_id() const = 0;
  /// Where generation stops: `eos_id`, and what `generation_config.json` or `config.json` beside
  /// the tokenizer list (a chat model ends its turn with another token than a text).
  virtual std::vector<std::int32_t> end_ids() const {
    return eos_id() ? std::vector<std::int32_t>{*eos_id()} : std::vector<std::int32_t>{};
  }

  /// `bytes`, `words`, `sentencepiece`, `huggingface`, `tiktoken`.
  virtual std::string kind() const = 0;

  /// SHA-256 of what defines the ids (vocabulary, merges, patterns, and where the ids depend on it
  /// the version of the library that finds them): kept in token files.
  virtual std::string hash() const = 0;
  /// The same without the library: of the files alone, as kept beside them in model directories.
  virtual std::string file_hash() const {
    return hash();
  }
  /// Whether `other` is one of the two. Earlier versions kept `file_hash` everywhere.
  bool has_hash(const std::string& other) const {
    return other == hash() || other == file_hash();
  }

  /// Writes the tokenizer's own files into a model directory, under their usual names.
  /// Errors: `IoError`.
  virtual void save(const std::filesystem::path& directory) const = 0;

  std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    encode(text, ids);
    return ids;
  }
};

/// Opens a tokenizer. `path` is a file, or a directory that holds the file under its usual name
/// (`tokenizer.json`, `tokenizer.model`, `vocabulary.txt`); no path means `bytes`.
///
/// `auto` looks into a directory for `fcc_tokenizer.json`, `tokenizer.json`, `tokenizer.model`,
/// `vocabulary.txt`, in this order; a `tokenizer.model` is told to be SentencePiece's or tiktoken's
/// by its content, and SentencePiece's goes before the `tokenizer.json` that was converted from it.
/// BOS and EOS are those of `tokenizer_config.json` or `special_tokens_map.json` beside it, of the
/// file itself, of `generation_config.json` or `config.json`; where none of them says, an added
/// token of a usual name (`<|endoftext|>`, `</s>` …).
/// Errors: `ConfigError` naming what is missing; `FormatError` if a file is malformed, names an EOS
/// that the vocabulary lacks, or differs from the one that `fcc_tokenizer.json` was saved with.
std::shared_ptr<const Tokenizer> make_tokenizer(const TokenizerConfig& config);

/// Saves the tokenizer with `fcc_tokenizer.json` (its kind, hash and BOS/EOS policy) into a model
/// directory, so that `make_tokenizer({.path = directory})` opens the same; the files that lay
/// beside it (chat template, special tokens …) go along, and `save_token_ids` is done.
void save_tokenizer(
    const Tokenizer& tokenizer,
    const TokenizerConfig& config,
    const std::filesystem::path& directory);

/// Puts `bos_token_id` and `eos_token_id` (a list of several `end_ids`) into the `config.json` and
/// `generation_config.json` of a model directory, where Hugging Face transformers look for the end
/// of a text. Nothing is done where there is no `config.json`. Errors: `IoError`, `FormatError`.
void save_token_ids(const Tokenizer& tokenizer, const std::filesystem::path& directory);

/// What `save_tokenizer` put into `directory`: the kind, the BOS/EOS policy and the directory as
/// path. Absent if there is no `fcc_tokenizer.json`. Errors: `FormatError`.
std::optional<TokenizerConfig> saved_tokenizer_config(const std::filesystem::path& directory);

/// `config` with the BOS/EOS policy that holds: what it says itself, else what the directory of its
/// path was saved with, else BOS no and EOS yes. Both are set in the result. A section of another
/// kind than the directory's does not take the policy over. Errors: as `saved_tokenizer_config`.
TokenizerConfig with_saved_policy(TokenizerConfig config);

/// The EOS of a tokenizer whose documents are to end with it. Errors: `ConfigError` at `where` that
/// says how to name one, if it has none.
std::int32_t required_eos(const Tokenizer& tokenizer, const std::string& where);

/// Turns a stream of ids into text piece by piece, holding back bytes until characters are whole.
/// Bytes that can no longer become a character are passed on as they are: what `push` and `finish`
/// return, joined, is the tokenizer's `decode` of all ids. The memory used is constant.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer);
  /// Continues after `ids`, whose text was shown already (a prompt): nothing of it comes out, but
  /// what follows is joined to it as the tokenizer would.
  void prime(std::span<const std::int32_t> ids);
  /// The text that became certain with `id` (may be empty).
  std::string push(std::int32_t id);
  /// What is still held back, as it is.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::int32_t> ids_; ///< a short tail of the stream: all that later text depends on
  std::size_t emitted_bytes_ = 0; ///< of the text of `ids_`
};

} // namespace fcc
