// The only source that sees PCRE2's header.

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "fcc/core/error.h"
#include "text/split_pattern.h"
#include "text/utf8.h"

namespace fcc {
namespace {

std::string message_of(int code) {
  char text[256] = "";
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof(text));
  return text;
}

PCRE2_SPTR pointer_of(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

/// One of PCRE2's objects, freed by its own function.
template <typename T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const {
    Free(object);
  }
};
template <typename T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freer<T, Free>>;

} // namespace

struct SplitPattern::Code {
  Owned<pcre2_code, pcre2_code_free> code;
  bool compiled_just_in_time = false;

  Code(const std::string& pattern, const std::string& where) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code.reset(pcre2_compile(
        pointer_of(pattern),
        pattern.size(),
        PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C,
        &error,
        &at,
        nullptr));
    if (!code) {
      throw FormatError(
          where,
          "the split pattern must compile (" + message_of(error) + " at byte " +
              std::to_string(at) + ")",
          pattern);
    }
    compiled_just_in_time = pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE) == 0;
  }
};

struct SplitPattern::Scratch::State {
  static constexpr std::size_t kFirstStackBytes = 32 << 10;
  static constexpr std::size_t kLastStackBytes = 8 << 20;
  /// Steps of one match that are not counted: those of an ordinary piece, and then some.
  static constexpr std::uint32_t kFreeSteps = 1000;
  /// What longer matches of a text may take together: enough for runs of white space as long as the
  /// longest piece, whose steps grow with their bytes, and a fraction of a second for a pattern
  /// that runs away.
  static constexpr std::uint64_t kSteps = 1'000'000, kStepsPerByte = 64;
  std::uint64_t steps_left = kSteps;
  Owned<pcre2_match_data, pcre2_match_data_free> match{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context, pcre2_match_context_free> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack, pcre2_jit_stack_free> stack{
      pcre2_jit_stack_create(kFirstStackBytes, kLastStackBytes, nullptr)};

  State() {
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }

  /// `pcre2_match` from `from` on. The library does not tell how many steps a match took, so that
  /// one that needs many is tried with more and more, each of which counts.
  int match_from(const Code& pattern, std::string_view text, std::size_t from) {
    constexpr std::uint32_t kGrowth = 4;
    std::uint32_t limit = kFreeSteps;
    for (;;) {
      pcre2_set_match_limit(context.get(), limit);
      const auto run = pattern.compiled_just_in_time ? pcre2_jit_match : pcre2_match;
      const int code =
          run(pattern.code.get(),
              pointer_of(text),
              text.size(),
              from,
              pattern.compiled_just_in_time ? 0 : PCRE2_NO_UTF_CHECK,
              match.get(),
              context.get());
      if (code != PCRE2_ERROR_MATCHLIMIT || steps_left == 0) {
        return code;
      }
      const std::uint64_t more =
          std::min<std::uint64_t>(std::uint64_t{limit} * kGrowth, steps_left);
      limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(more, UINT32_MAX / kGrowth));
      steps_left -= limit;
    }
  }
};

SplitPattern::Scratch::Scratch() : state_(std::make_unique<State>()) {}
SplitPattern::Scratch::~Scratch() = default;

void SplitPattern::Scratch::begin_text(std::size_t num_bytes) {
  state_->steps_left = State::kSteps + State::kStepsPerByte * num_bytes;
}

SplitPattern::Scratch::Scratch(Scratch&&) noexcept = default;
SplitPattern::Scratch& SplitPattern::Scratch::operator=(Scratch&&) noexcept = default;

SplitPattern::SplitPattern(const std::string& pattern, const std::string& where) {
  if (valid_utf8_prefix(pattern) < pattern.size()) {
    throw FormatError(where, "the split pattern must be UTF-8");
  }
  library_ = std::make_unique<Code>(to_pcre2(pattern, UnicodeTables::kLibrary, where), where);
  with_additions_ =
      std::make_unique<Code>(to_pcre2(pattern, UnicodeTables::kWithAdditions, where), where);
}
SplitPattern::~SplitPattern() = default;
SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;
SplitPattern& SplitPattern::operator=(SplitPattern&&) noexcept = default;

std::size_t SplitPattern::cut(
    std::string_view text,
    std::size_t start,
    std::size_t limit,
    UnicodeTables tables,
    Scratch& scratch,
    std::vector<std::size_t>& ends) const {
  const Code& pattern = tables == UnicodeTables::kLibrary ? *library_ : *with_additions_;
  auto& state = *scratch.state_;
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(state.match.get());
  std::size_t search = start; // past `start` only after an empty match
  for (std::size_t count = 0; count < limit && start < text.size(); ++count) {
    const int code = state.match_from(pattern, text, search);
    if (code == PCRE2_ERROR_NOMATCH) {
      ends.push_back(text.size());
      return text.size();
    }
    if (code == PCRE2_ERROR_MATCHLIMIT) {
      throw Error(
          "tokenizer",
          "the split pattern must get through a text in " + std::to_string(Scratch::State::kSteps) +
              " steps and " + std::to_string(Scratch::State::kStepsPerByte) + " for each byte",
          "more");
    }
    if (code < 0) {
      throw Error("tokenizer", "the split pattern must get through the text", message_of(code));
    }
    if (found[1] <= found[0]) {
      // An empty match cuts nothing: look on from the next character.
      if (found[1] >= text.size()) {
        ends.push_back(text.size());
        return text.size();
      }
      search = found[1] + utf8_character_bytes(text.substr(found[1]));
      --count;
      continue;
    }
    if (found[0] > start) {
      ends.push_back(found[0]);
    }
    ends.push_back(found[1]);
    start = search = found[1];
  }
  return start;
}

} // namespace fcc
