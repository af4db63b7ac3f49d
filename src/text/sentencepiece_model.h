#pragma once

#include <string_view>

namespace fcc {

/// Whether a SentencePiece model file (a protobuf message, sentencepiece_model.proto) is of the
/// type UNIGRAM: `trainer_spec` (field 2) has `model_type` (field 3) 1, or none. False where the
/// bytes are no such message.
bool is_unigram_model(std::string_view content);

} // namespace fcc
