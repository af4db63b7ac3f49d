// GGUF files: header, metadata, tensors and the tokenizer in them.

#include <cstdint>
#include <vector>

#include "fcc/core/error.h"
#include "fcc/io/gguf.h"
#include "fcc/text/gguf_tokenizer.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFile input({data, size}, ".gguf");
  try {
    const GgufFile file(input.path());
    for (const GgufTensor& tensor : file.tensors()) {
      const GgufBlock block = gguf_block(tensor.type);
      std::vector<float> numbers(
          tensor.bytes.size() / static_cast<std::size_t>(block.num_bytes) *
          static_cast<std::size_t>(block.num_elements));
      dequantize_gguf(tensor.type, tensor.bytes, numbers);
    }
    gguf_tokenizer_files(file);
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
