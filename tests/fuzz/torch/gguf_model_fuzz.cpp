// The model in a GGUF file: its configuration, and whether the weights are those.

#include <cstdint>

#include "fcc/core/error.h"
#include "fcc/io/gguf.h"
#include "fcc/model/gguf_model.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFile input({data, size}, ".gguf");
  try {
    const GgufFile file(input.path());
    check_gguf_weights(file, gguf_model_config(file));
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
