// Where an interrupted tokenizing goes on: state.json of its working folder.

#include <cstdint>

#include "data/tokenize_state.h"
#include "fcc/core/error.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFile input({data, size}, ".json");
  try {
    load_tokenize_state(input.path(), "{}");
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
