// Saved memories.

#include <cstdint>

#include "fcc/core/error.h"
#include "fcc/model/memory_state.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFile input({data, size}, ".safetensors");
  try {
    load_memory_state(input.path(), "model");
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
