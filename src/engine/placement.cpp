#include "engine/placement.h"

#include <c10/util/accumulate.h>

namespace fcc {
namespace {

constexpr std::int64_t kAlignment = 512; // as the GPU's allocator has it

} // namespace

at::Tensor Placement::take(std::string_view name, at::IntArrayRef sizes, at::ScalarType dtype) {
  const std::int64_t first = used_;
  const std::int64_t bytes =
      c10::multiply_integers(sizes) * static_cast<std::int64_t>(c10::elementSize(dtype));
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (!bytes_.defined()) {
    placed_.push_back({name, used_ - first});
    return {};
  }
  return bytes_.slice(0, first, first + bytes).view(dtype).view(sizes);
}

} // namespace fcc
