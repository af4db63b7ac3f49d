#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/torch/prefill.h"
#include "fcc/generate/chat.h"
#include "fcc/generate/stream.h"
#include "fcc_generate/options.h"

namespace fcc::tools {

/// Standard output, at once. Errors: `Error` where nobody takes it.
void print(const std::string& text);

/// The ids of the only row, [1, t].
at::Tensor row_of(const std::vector<std::int32_t>& ids);

/// The encoder of the tokenizer's chat template; absent: it has none. Errors: `FormatError` where
/// it cannot be run.
std::optional<ChatEncoder> chat_encoder(const GenerateOptions& options, const LoadedModel& model);

/// The same where one is needed. Errors: `ConfigError` too.
ChatEncoder required_chat_encoder(const GenerateOptions& options, const LoadedModel& model);

/// One text that is read and gone on with: the stream, what text its next token joins on to, and
/// the drawing.
class Speaker {
 public:
  enum class End { kMaxTokens, kEndOfText, kInterrupt };

  /// `ends`: the tokens that end a text.
  Speaker(const GenerateOptions& options, Prefill& prefill, std::vector<std::int32_t> ends);

  /// Goes on from `state`; nothing: from the beginning.
  void restart(const MemoryState& state);
  /// The state after the last token.
  MemoryState state() const;

  /// Reads tokens. Errors: `Error`.
  void read(const std::vector<std::int32_t>& ids);
  /// Whether a token can be drawn.
  bool can_answer() const {
    return stream_.has_logits();
  }
  /// Draws tokens until an end, `max_tokens` or an interrupt, and gives their text to `show` piece
  /// by piece.
  End answer(const std::function<void(const std::string&)>& show);

  std::int64_t num_tokens() const {
    return stream_.num_tokens();
  }
  std::int64_t num_generated() const { ///< by the last answer
    return num_generated_;
  }

 private:
  const GenerateOptions& options_;
  Prefill& prefill_;
  Sampler sampler_;
  std::vector<std::int32_t> ends_, last_ids_;
  TokenStream stream_;
  std::int64_t num_generated_ = 0;
};

} // namespace fcc::tools
