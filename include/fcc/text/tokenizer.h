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

/// Text to token ids and back. Implementations are immutable and safe to share between threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids run from 0 to vocab_size() - 1.
  virtual std::int64_t vocab_size() const = 0;

  /// Appends the ids of `text` to `ids`; no BOS, no EOS, special tokens in the text are not parsed.
  virtual void encode(std::string_view text, std::vector<std::int32_t>& ids) const = 0;

  /// The bytes of `ids` (not always whole UTF-8 characters; the stream decoder below waits for
  /// them). Errors: `Error` on an id outside the vocabulary.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  virtual std::optional<std::int32_t> bos_id() const = 0;
  virtual std::optional<std::int32_t> eos_id() const = 0;

  /// `bytes`, `words`, `sentencepiece`, `huggingface`, `tiktoken`.
  virtual std::string kind() const = 0;

  /// SHA-256 of what defines the ids (vocabulary, merges, patterns): kept in token files.
  virtual std::string hash() const = 0;

  /// Writes the tokenizer's own files into a model directory, under their usual names.
  virtual void save(const std::filesystem::path& directory) const = 0;

  std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    encode(text, ids);
    return ids;
  }
};

/// Opens a tokenizer. `auto` looks into the directory `path` for `fcc_tokenizer.json`,
/// `tokenizer.json`, `tokenizer.model`, `vocabulary.txt`, in this order; no path means `bytes`.
/// Errors: `ConfigError` naming what is missing.
std::shared_ptr<const Tokenizer> make_tokenizer(const TokenizerConfig& config);

/// Saves the tokenizer with `fcc_tokenizer.json` (its kind and BOS/EOS policy) into a model
/// directory, so that `make_tokenizer({.path = directory})` opens the same.
void save_tokenizer(
    const Tokenizer& tokenizer,
    const TokenizerConfig& config,
    const std::filesystem::path& directory);

/// Turns a stream of ids into text piece by piece, holding back bytes until characters are whole.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer);
  /// The text that became certain with `id` (may be empty).
  std::string push(std::int32_t id);
  /// What is still held back, as it is.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::int32_t> ids_;
  std::size_t emitted_bytes_ = 0;
};

} // namespace fcc
