// Safetensors: the first byte says whether the rest is a file or an index beside a shard.

#include <cstdint>

#include "fcc/core/error.h"
#include "fcc/io/safetensors.h"
#include "fuzz/input_file.h"

namespace {

/// Every byte that a view promises is there.
unsigned touch(const std::vector<fcc::TensorView>& tensors) {
  unsigned sum = 0;
  for (const fcc::TensorView& tensor : tensors) {
    for (const std::byte byte : tensor.bytes) {
      sum += std::to_integer<unsigned>(byte);
    }
  }
  return sum;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  if (size == 0) {
    return 0;
  }
  const fuzz::InputFolder folder;
  const bool is_index = data[0] % 2 != 0;
  try {
    if (is_index) {
      const float number = 1;
      const TensorView tensor{"a.weight", DType::kF32, {1}, std::as_bytes(std::span(&number, 1))};
      write_safetensors(folder.path() / "model-00001-of-00001.safetensors", {&tensor, 1});
    }
    folder.write(
        is_index ? "model.safetensors.index.json" : "model.safetensors",
        fuzz::text_of(data + 1, size - 1));
    touch(SafetensorsDirectory(folder.path()).tensors());
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
