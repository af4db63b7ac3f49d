#include "common/tensor_map.h"

#include <array>

namespace fcc::kernels {
namespace {

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

constexpr int kBoxWidth = 64; // elements of E: 128 bytes, the widest box of the 128-byte swizzle
constexpr int64_t kElementBytes = 2;

// The driver's function, found through the runtime so that nothing links against libcuda.
struct Encoder {
  EncodeTiled encode = nullptr;
  cudaError_t error = cudaSuccess;
};

Encoder find_encoder() {
  constexpr unsigned int kFirstVersion = 12000;
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
  const cudaError_t error = cudaGetDriverEntryPointByVersion(
      "cuTensorMapEncodeTiled", &entry, kFirstVersion, cudaEnableDefault, &found);
  if (error != cudaSuccess) {
    return {nullptr, error};
  }
  if (found != cudaDriverEntryPointSuccess || entry == nullptr) {
    return {nullptr, cudaErrorNotSupported};
  }
  return {reinterpret_cast<EncodeTiled>(entry), cudaSuccess};
}

// Looked up once: a launch makes six maps and more, and the driver does not change under way.
const Encoder& encoder() {
  static const Encoder found = find_encoder();
  return found;
}

// A dimension of one element is never stepped over; any legal stride will do.
cuuint64_t stride_bytes(int size, int64_t stride) {
  constexpr cuuint64_t kSmallest = 16;
  return size <= 1 ? kSmallest : static_cast<cuuint64_t>(stride * kElementBytes);
}

} // namespace

cudaError_t make_tile_map(const TileTensor& tensor, int box_rows, TileMap& map) {
  if (encoder().error != cudaSuccess) {
    return encoder().error;
  }

  const bool backwards = tensor.num_cells > 1 && tensor.cell_stride < 0;
  const int64_t last_cell = tensor.num_cells - 1;
  const int64_t start = backwards ? last_cell * tensor.cell_stride * kElementBytes : 0;
  const int64_t cell_stride = backwards ? -tensor.cell_stride : tensor.cell_stride;
  map.first_cell = backwards ? tensor.num_cells - 1 : 0;
  map.cell_step = backwards ? -1 : 1;

  const auto size = [](int n) { return static_cast<cuuint64_t>(n); };
  const std::array<cuuint64_t, 5> sizes = {
      size(tensor.head_dim),
      size(tensor.num_rows),
      size(tensor.num_heads),
      size(tensor.batch),
      size(tensor.num_cells)};
  const std::array<cuuint64_t, 4> strides = {
      stride_bytes(tensor.num_rows, tensor.row_stride),
      stride_bytes(tensor.num_heads, tensor.head_stride),
      stride_bytes(tensor.batch, tensor.batch_stride),
      stride_bytes(tensor.num_cells, cell_stride)};
  const std::array<cuuint32_t, 5> box = {kBoxWidth, static_cast<cuuint32_t>(box_rows), 1, 1, 1};
  const std::array<cuuint32_t, 5> element_steps = {1, 1, 1, 1, 1};
  // The driver's signature wants a mutable pointer also for tensors that are only read.
  auto* base = const_cast<char*>(static_cast<const char*>(tensor.data)) + start;
  const CUresult result = encoder().encode(
      &map.map,
      CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
      static_cast<cuuint32_t>(sizes.size()),
      base,
      sizes.data(),
      strides.data(),
      box.data(),
      element_steps.data(),
      CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

} // namespace fcc::kernels
