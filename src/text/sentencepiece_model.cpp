#include "text/sentencepiece_model.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

namespace fcc {
namespace {

constexpr std::uint64_t kTrainerSpec = 2, kModelType = 3, kUnigram = 1;

/// One field after the other of a protobuf message.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  std::uint64_t number = 0; ///< of the current field
  std::uint64_t value = 0;  ///< of a varint
  std::string_view bytes;   ///< of a string or a message

  /// False at the end, and where no field can be read.
  bool next() {
    const std::optional<std::uint64_t> key = varint();
    if (!key) {
      return false;
    }
    number = *key >> 3;
    value = 0;
    bytes = {};
    switch (*key & 7) {
      case 0: {
        const std::optional<std::uint64_t> read = varint();
        value = read.value_or(0);
        return read.has_value();
      }
      case 1:
        return take(8);
      case 2: {
        const std::optional<std::uint64_t> size = varint();
        return size && take(*size);
      }
      case 5:
        return take(4);
      default:
        return false;
    }
  }

 private:
  std::optional<std::uint64_t> varint() {
    std::uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      result |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        return result;
      }
    }
    return std::nullopt;
  }
  bool take(std::uint64_t size) {
    if (size > rest_.size()) {
      return false;
    }
    bytes = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return true;
  }

  std::string_view rest_;
};

} // namespace

bool is_unigram_model(std::string_view content) {
  for (Fields model(content); model.next();) {
    if (model.number != kTrainerSpec) {
      continue;
    }
    std::uint64_t type = kUnigram;
    for (Fields trainer(model.bytes); trainer.next();) {
      type = trainer.number == kModelType ? trainer.value : type;
    }
    return type == kUnigram;
  }
  return false;
}

SentencePieceVocabulary read_sentencepiece_vocabulary(std::string_view content) {
  constexpr std::uint64_t kPieces = 1, kNormalizer = 3, kText = 1, kScore = 2, kType = 3;
  constexpr std::uint64_t kAddDummyPrefix = 3;
  SentencePieceVocabulary vocabulary;
  for (Fields model(content); model.next();) {
    if (model.number == kNormalizer) {
      for (Fields normalizer(model.bytes); normalizer.next();) {
        if (normalizer.number == kAddDummyPrefix) {
          vocabulary.adds_prefix_space = normalizer.value != 0;
        }
      }
    }
    if (model.number != kPieces) {
      continue;
    }
    std::string text;
    float score = 0;
    std::int64_t type = 1;
    for (Fields piece(model.bytes); piece.next();) {
      if (piece.number == kText) {
        text = piece.bytes;
      } else if (piece.number == kScore && piece.bytes.size() == sizeof(score)) {
        std::memcpy(&score, piece.bytes.data(), sizeof(score));
      } else if (piece.number == kType) {
        type = static_cast<std::int64_t>(piece.value);
      }
    }
    vocabulary.pieces.push_back(std::move(text));
    vocabulary.scores.push_back(static_cast<double>(score));
    vocabulary.types.push_back(type);
  }
  return vocabulary;
}

} // namespace fcc
