#include <algorithm>

#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>

#include "fcc/core/error.h"
#include "fcc/model/tensor_io.h"
#include "fcc_convert/commands.h"

namespace fcc::tools {
namespace {

/// Elements that are cast at once: what a cast needs in memory, however large the tensor.
constexpr std::size_t kBlockElements = std::size_t{1} << 22;

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

} // namespace

void append_as(
    const std::string& name,
    DType from,
    std::span<const std::byte> bytes,
    DType to,
    const AppendBytes& append) {
  if (from == to) {
    append(bytes);
    return;
  }
  const auto width = static_cast<std::size_t>(dtype_bytes(from));
  for (std::size_t begin = 0; begin < bytes.size(); begin += kBlockElements * width) {
    const auto part = bytes.subspan(begin, std::min(kBlockElements * width, bytes.size() - begin));
    const auto count = static_cast<std::int64_t>(part.size() / width);
    const at::Tensor block = read_tensor({name, from, {count}, part});
    const at::Tensor cast = block.to(tensor_dtype(to));
    if (at::isfinite(cast).logical_not().logical_and_(at::isfinite(block)).any().item<bool>()) {
      throw FormatError(
          name,
          "every value must lie in the range of " + dtype_text(to),
          "a larger one",
          "bfloat16 has the range of float32");
    }
    append(bytes_of(cast));
  }
}

/// As in `FlatParameters`: norms one, learned memory zero.
void write_new_weight(const TensorHeader& header, const AppendBytes& append) {
  const double value = header.name.ends_with("layernorm.weight") ? 1.0 : 0.0;
  append(bytes_of(at::full(header.shape, value, tensor_dtype(header.dtype))));
}

} // namespace fcc::tools
