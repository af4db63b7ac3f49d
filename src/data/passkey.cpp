#include "fcc/data/passkey.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/text_pieces.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

constexpr const char* kIntro =
    "There is a critical piece of information hidden within a large amount of irrelevant text. "
    "Your task is to locate it and remember it carefully. I will test your ability to recall this "
    "information.";
constexpr const char* kFiller =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
constexpr const char* kNeedle =
    "The passkey is {key}. Remember it carefully. {key} is the passkey.";
constexpr const char* kQuestion = "What is the passkey? The passkey is";
constexpr std::string_view kKey = "{key}";

std::string with_key(const std::string& text, const std::string& digits) {
  return replaced(text, std::string(kKey), digits);
}

void require_no_key(const std::string& name, const std::string& text) {
  if (text.find(kKey) != std::string::npos) {
    throw ConfigError("passkey " + name, "must not hold {key}: only the needle tells it", text);
  }
}

std::string draw_digits(std::int64_t num_digits, std::uint64_t seed, std::int64_t index) {
  Random random(seed, static_cast<std::uint64_t>(index));
  std::string digits;
  for (std::int64_t i = 0; i < num_digits; ++i) {
    const bool leading = i == 0 && num_digits > 1;
    digits += static_cast<char>('0' + (leading ? 1 + random.below(9) : random.below(10)));
  }
  return digits;
}

} // namespace

/// The parts of one sample, tokenised.
struct PasskeyWriter {
  const PasskeyTask& task;
  std::vector<std::int32_t> needle, answer;

  PasskeyWriter(const PasskeyTask& of, const std::string& digits) : task(of) {
    needle = task.tokenizer().encode(with_key(task.needle_text_, digits));
    answer = task.tokenizer().encode(task.answer_start_ + digits);
  }

  std::int64_t min_length() const {
    return static_cast<std::int64_t>(
        task.bos_.size() + needle.size() + task.question_.size() + answer.size());
  }

  std::int64_t period() const {
    return static_cast<std::int64_t>(task.filler_.size());
  }

  /// Filler `from` to `to` of the endless stream of repeats, which begins at 0.
  void append_filler(std::vector<std::int32_t>& ids, std::int64_t from, std::int64_t to) const {
    for (std::int64_t i = from; i < to; ++i) {
      ids.push_back(task.filler_[static_cast<std::size_t>(i % period())]);
    }
  }

  std::vector<std::int32_t> prompt(std::int64_t length, double depth, NeedlePlace place) const {
    std::vector<std::int32_t> ids;
    const auto append = [&ids](const std::vector<std::int32_t>& more) {
      ids.insert(ids.end(), more.begin(), more.end());
    };
    std::int64_t num_filler = length - min_length();
    const auto intro_size = static_cast<std::int64_t>(task.intro_.size());
    const bool with_intro = num_filler >= intro_size;
    if (with_intro) {
      num_filler -= intro_size;
    }
    const bool first = place == NeedlePlace::kFirst;
    // The filler runs from `start` to `end`; the needle stands at `middle`.
    std::int64_t start = 0, end = num_filler, middle = 0;
    if (task.blocks_ == FillerBlocks::kCut) {
      middle = std::llround(depth * static_cast<double>(num_filler));
    } else {
      const std::int64_t cut = num_filler % period();
      const bool has_cut = task.blocks_ == FillerBlocks::kWholeButFirst && cut > 0;
      start = has_cut ? period() - cut : 0;
      end = start + (has_cut ? num_filler : num_filler - cut);
      const double whole = static_cast<double>(end / period());
      middle = std::max(start, static_cast<std::int64_t>(std::llround(depth * whole)) * period());
    }
    middle = first ? start : middle;

    ids.reserve(static_cast<std::size_t>(length));
    append(task.bos_);
    if (first) {
      append(needle);
    }
    if (with_intro) {
      append(task.intro_);
    }
    append_filler(ids, start, middle);
    if (!first) {
      append(needle);
    }
    append_filler(ids, middle, end);
    append(task.question_);
    return ids;
  }
};

PasskeyTask::PasskeyTask(
    const DatasetConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos)
    : tokenizer_(std::move(tokenizer)),
      num_digits_(config.digits),
      blocks_(config.filler_blocks),
      needle_text_(config.needle.value_or(kNeedle)) {
  const std::string intro = config.intro.value_or(kIntro);
  const std::string filler = config.filler.value_or(kFiller);
  const std::string question = config.question.value_or(kQuestion);
  constexpr std::int64_t kMaxDigits = 18;
  if (num_digits_ < 1 || num_digits_ > kMaxDigits) {
    throw ConfigError(
        "passkey digits",
        "must lie in 1.." + std::to_string(kMaxDigits),
        std::to_string(num_digits_));
  }
  if (needle_text_.find(kKey) == std::string::npos) {
    throw ConfigError(
        "passkey needle", "must hold {key}, which stands for the digits", needle_text_);
  }
  require_no_key("intro", intro);
  require_no_key("filler", filler);
  require_no_key("question", question);

  if (add_bos) {
    if (!tokenizer_->bos_id()) {
      throw ConfigError("passkey", "add_bos needs a tokenizer with a BOS", tokenizer_->kind());
    }
    bos_ = {*tokenizer_->bos_id()};
  }
  const std::string space = space_between_pieces(*tokenizer_);
  needle_text_ = begun(space, needle_text_);
  answer_start_ = !question.empty() && is_space(question.back()) ? "" : space;
  intro_ = tokenizer_->encode(intro);
  filler_ = tokenizer_->encode(begun(space, filler));
  question_ = tokenizer_->encode(begun(space, question));
  if (filler_.empty() || question_.empty()) {
    throw ConfigError("passkey", "filler and question must give at least one token each");
  }

  for (char digit = '0'; digit <= '9'; ++digit) {
    const std::string text(static_cast<std::size_t>(num_digits_), digit);
    const std::vector<std::int32_t> ids = PasskeyWriter(*this, text).answer;
    if (!passkey_matches(*this, ids, text)) {
      throw ConfigError(
          "passkey",
          "the tokenizer must be able to write the digits",
          text + " comes back as `" + trimmed(tokenizer_->decode(ids)) + "`",
          "`fcc-data words --passkey` makes a vocabulary for this task");
    }
  }
}

std::int64_t PasskeyTask::min_length_tokens(const std::string& digits) const {
  return PasskeyWriter(*this, digits).min_length();
}

std::int64_t PasskeyTask::min_length_tokens(std::uint64_t seed, std::int64_t index) const {
  return min_length_tokens(draw_digits(num_digits_, seed, index));
}

PasskeySample make_passkey(
    const PasskeyTask& task,
    std::int64_t length_tokens,
    double depth,
    std::uint64_t seed,
    std::int64_t index,
    NeedlePlace place) {
  if (!(depth >= 0.0 && depth <= 1.0)) {
    throw ConfigError("passkey depth", "must lie in 0..1", std::to_string(depth));
  }
  PasskeySample sample;
  sample.digits = draw_digits(task.num_digits(), seed, index);
  PasskeyWriter writer(task, sample.digits);
  if (length_tokens < writer.min_length()) {
    throw ConfigError(
        "passkey",
        "needle, question and answer need " + std::to_string(writer.min_length()) + " tokens",
        std::to_string(length_tokens) + " tokens",
        "use more or longer segments");
  }
  sample.prompt = writer.prompt(length_tokens, depth, place);
  sample.answer = std::move(writer.answer);
  return sample;
}

std::vector<std::string> passkey_texts(const DatasetConfig& config) {
  return {
      config.intro.value_or(kIntro),
      config.filler.value_or(kFiller),
      with_key(config.needle.value_or(kNeedle), "0123456789"),
      config.question.value_or(kQuestion)};
}

bool passkey_matches(
    const PasskeyTask& task,
    const std::vector<std::int32_t>& generated,
    const std::string& digits) {
  // A model may have more tokens than its tokenizer, and draw one of them while it knows little.
  const std::int64_t known = task.tokenizer().vocab_size();
  return std::all_of(generated.begin(), generated.end(), [&](auto id) { return id < known; }) &&
         trimmed(task.tokenizer().decode(generated)) == digits;
}

} // namespace fcc
