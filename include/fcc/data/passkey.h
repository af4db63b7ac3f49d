#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"

namespace fcc {

class Tokenizer;

/// The passkey task of arXiv 2405.04620, appendix C, made ready for one tokenizer:
///
///     [BOS] intro | filler … | needle with the digits | filler … | question | digits
///
/// Each piece is tokenised apart, so the filler is an endless stream of tokens that can be cut
/// anywhere: a sample has exactly the length that is asked for, whatever the tokenizer
/// (`filler_blocks` keeps the repeats whole: all but the first, or all, as the paper does). All
/// pieces but the intro begin with one space, unless their text brings whitespace of its own or the
/// tokenizer puts the space itself (SentencePiece's dummy prefix). So the answer has the tokens
/// that the digits have after a word; where the question ends in whitespace it is the digits alone.
///
/// Immutable; safe to share between threads.
class PasskeyTask {
 public:
  /// `intro`, `filler`, `filler_blocks`, `needle`, `question` and `digits` of `config` (texts
  /// default to the paper's); `{key}` in the needle stands for the digits. `add_bos` puts the
  /// tokenizer's BOS first. Errors: `ConfigError` on a needle without `{key}`, `{key}` elsewhere,
  /// an empty filler or question, a tokenizer that cannot write the texts and digits, `add_bos`
  /// without a BOS.
  PasskeyTask(
      const DatasetConfig& config,
      std::shared_ptr<const Tokenizer> tokenizer,
      bool add_bos = false);

  const Tokenizer& tokenizer() const {
    return *tokenizer_;
  }
  std::int64_t num_digits() const {
    return num_digits_;
  }

  /// The shortest sample that holds needle, question and answer for `digits`, tokens (the filler
  /// may be empty and the intro is left out where it does not fit).
  std::int64_t min_length_tokens(const std::string& digits) const;
  /// The same for the digits of a sample.
  std::int64_t min_length_tokens(std::uint64_t seed, std::int64_t index) const;

 private:
  friend struct PasskeyWriter;

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::int64_t num_digits_ = 0;
  FillerBlocks blocks_ = FillerBlocks::kCut;
  std::string needle_text_;  ///< begun as all pieces, with `{key}`
  std::string answer_start_; ///< what stands before the digits
  std::vector<std::int32_t> bos_, intro_, filler_, question_;
};

/// One sample: the prompt ends with the question, the answer is what follows.
struct PasskeySample {
  std::vector<std::int32_t> prompt;
  std::vector<std::int32_t> answer;
  std::string digits;
};

/// Where in the sample the needle stands.
enum class NeedlePlace {
  kInFiller, ///< after the share `depth` of the filler's tokens
  kFirst     ///< before everything, the intro too
};

/// Sample `index` of the task. prompt.size() + answer.size() == length_tokens, but for
/// `FillerBlocks::kWhole`, where up to a repeat of the filler is left out; the digits
/// depend on (seed, index) alone, so that depths and lengths can be compared on equal keys. The
/// digits are uniform, the first is not 0.
/// `depth` in 0..1. Errors: `ConfigError` naming the length that is needed.
PasskeySample make_passkey(
    const PasskeyTask& task,
    std::int64_t length_tokens,
    double depth,
    std::uint64_t seed,
    std::int64_t index,
    NeedlePlace place = NeedlePlace::kInFiller);

/// Every text of the task and every digit: what a words vocabulary must hold.
std::vector<std::string> passkey_texts(const DatasetConfig& config);

/// Do the generated ids say the digits? Exact match of the decoded text, surrounding whitespace
/// left out.
bool passkey_matches(
    const PasskeyTask& task,
    const std::vector<std::int32_t>& generated,
    const std::string& digits);

} // namespace fcc
