#include "fcc/text/tokenizer.h"

#include <algorithm>

#include "text/utf8.h"

namespace fcc {
namespace {

/// Ids kept while the text goes on: more than any tokenizer looks back (a `words` decoder sees two
/// tokens, SentencePiece only whether it stands at the very start).
constexpr std::size_t kKeptIds = 8;
constexpr std::size_t kMaxIds = 64;

} // namespace

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)) {}

void StreamDecoder::prime(std::span<const std::int32_t> ids) {
  const auto tail = ids.last(std::min(ids.size(), kKeptIds));
  ids_.assign(tail.begin(), tail.end());
  emitted_bytes_ = tokenizer_->decode(ids_).size();
}

std::string StreamDecoder::push(std::int32_t id) {
  ids_.push_back(id);
  const std::string text = tokenizer_->decode(ids_);
  const std::size_t end = std::max(emitted_bytes_, complete_utf8_bytes(text));
  std::string fresh = text.substr(emitted_bytes_, end - emitted_bytes_);
  emitted_bytes_ = end;
  if (ids_.size() > kMaxIds) {
    // The bytes held back, at most three, belong to the ids that stay.
    const std::size_t held_back = text.size() - end;
    ids_.erase(ids_.begin(), ids_.end() - kKeptIds);
    emitted_bytes_ = tokenizer_->decode(ids_).size() - held_back;
  }
  return fresh;
}

std::string StreamDecoder::finish() {
  std::string rest = tokenizer_->decode(ids_).substr(emitted_bytes_);
  ids_.clear();
  emitted_bytes_ = 0;
  return rest;
}

} // namespace fcc
