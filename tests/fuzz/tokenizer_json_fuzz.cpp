// tokenizer.json.

#include <cstdint>

#include "fcc/core/error.h"
#include "fuzz/input_file.h"
#include "fuzz/try_tokenizer.h"
#include "text/tokenizer_loaders.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFolder folder;
  folder.write("tokenizer.json", fuzz::text_of(data, size));
  try {
    fuzz::try_tokenizer(*load_huggingface_tokenizer(folder.path() / "tokenizer.json"));
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
