#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// Whether a SentencePiece model file (a protobuf message, sentencepiece_model.proto) is of the
/// type UNIGRAM: `trainer_spec` (field 2) has `model_type` (field 3) 1, or none. False where the
/// bytes are no such message.
bool is_unigram_model(std::string_view content);

/// A SentencePiece model's vocabulary as its file has it.
struct SentencePieceVocabulary {
  std::vector<std::string> pieces;
  std::vector<double> scores;
  std::vector<std::int64_t>
      types; ///< 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  bool adds_prefix_space = true; ///< `normalizer_spec.add_dummy_prefix`
};
SentencePieceVocabulary read_sentencepiece_vocabulary(std::string_view content);

} // namespace fcc
