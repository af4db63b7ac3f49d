// Files of pairs: the first byte picks the name's ending, the rest is the file.

#include <array>
#include <cstdint>

#include "fcc/core/error.h"
#include "fcc/data/pairs.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  if (size == 0) {
    return 0;
  }
  constexpr std::array<const char*, 4> kEndings{".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"};
  const fuzz::InputFile input({data + 1, size - 1}, kEndings[data[0] % kEndings.size()]);
  try {
    const PairFile file(input.path());
    file.at(file.size() - 1);
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
