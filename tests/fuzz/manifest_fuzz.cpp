// manifest.json of a checkpoint or a model directory.

#include <cstdint>

#include "fcc/core/error.h"
#include "fcc/io/atomic_directory.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFolder folder;
  folder.write("a.txt", "abc");
  folder.write("manifest.json", fuzz::text_of(data, size));
  try {
    require_replaceable(folder.path());
  } catch (const Error&) {
    // It holds something else.
  }
  try {
    verify_manifest(folder.path());
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
