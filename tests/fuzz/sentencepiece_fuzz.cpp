// SentencePiece's tokenizer.model.

#include <cstdint>

#include "fcc/core/error.h"
#include "fuzz/input_file.h"
#include "fuzz/try_tokenizer.h"
#include "text/tokenizer_loaders.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFolder folder;
  folder.write("tokenizer.model", fuzz::text_of(data, size));
  try {
    fuzz::try_tokenizer(*load_sentencepiece_tokenizer(folder.path() / "tokenizer.model"));
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
