// Token files: header, document starts, checksums, ids.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fcc/core/error.h"
#include "fcc/data/token_file.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFile input({data, size}, ".safetensors");
  try {
    const TokenFile file(input.path());
    std::vector<std::int32_t> ids(
        static_cast<std::size_t>(std::min<std::int64_t>(file.num_tokens(), 4096)));
    file.read(file.num_tokens() - static_cast<std::int64_t>(ids.size()), ids);
    file.document_of(file.num_tokens() - 1);
    file.verify();
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
