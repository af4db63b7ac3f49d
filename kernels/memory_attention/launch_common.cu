#include "memory_attention/launch_common.h"

#include <climits>
#include <cstdint>

namespace fcc::kernels {
namespace {

KernelStatus refuse(const char* message) {
  return {cudaErrorInvalidValue, message};
}

} // namespace

KernelStatus check_shape(const MemoryAttentionShape& shape) {
  if (shape.num_cells < 1 || shape.batch < 1 || shape.num_queries < 1) {
    return refuse("memory_attention: num_cells, batch and num_queries must be at least 1");
  }
  if (shape.num_memory < 0) {
    return refuse("memory_attention: num_memory must not be negative");
  }
  if (shape.num_heads < 1 || shape.num_kv_heads < 1 || shape.num_heads % shape.num_kv_heads != 0) {
    return refuse("memory_attention: num_heads must be a positive multiple of num_kv_heads");
  }
  if (shape.head_dim != 64 && shape.head_dim != 128) {
    return refuse("memory_attention: head_dim must be 64 or 128");
  }
  constexpr int kMostRows = 1 << 28; // tile arithmetic stays in int
  if (shape.num_queries > kMostRows || shape.num_memory > kMostRows) {
    return refuse("memory_attention: num_queries and num_memory must be at most 2^28");
  }
  const int64_t tiles = (int64_t{shape.num_queries} + shape.num_memory) / 64 + 2;
  if (tiles * shape.num_cells > INT_MAX / shape.batch / shape.num_heads) {
    return refuse("memory_attention: too many tiles for one launch, split the cells");
  }
  return {};
}

KernelStatus check_tensor(
    const void* data,
    const AttentionStrides& strides,
    const HeadLayout& layout,
    const MemoryAttentionShape& shape) {
  constexpr uintptr_t kAlignmentBytes = 16;
  constexpr int64_t kAlignmentElements = 8;
  if (data == nullptr) {
    return refuse("memory_attention: a tensor of the shape is null");
  }
  if (reinterpret_cast<uintptr_t>(data) % kAlignmentBytes != 0) {
    return refuse("memory_attention: tensors must be aligned to 16 bytes");
  }
  const struct {
    int size;
    int64_t stride;
    bool may_be_negative;
  } dimensions[] = {
      {shape.num_cells, strides.cell, true},
      {shape.batch, strides.batch, false},
      {layout.num_rows, strides.row, false},
      {layout.num_heads, strides.head, false}};
  for (const auto& dimension : dimensions) {
    if (dimension.size == 1) {
      continue;
    }
    if (dimension.stride % kAlignmentElements != 0) {
      return refuse("memory_attention: strides must be multiples of 8 elements");
    }
    if (dimension.stride == 0 || (dimension.stride < 0 && !dimension.may_be_negative)) {
      return refuse("memory_attention: strides must be positive (of cells: not 0)");
    }
  }
  return {};
}

KernelStatus count_multiprocessors(int& count) {
  constexpr int kHopper = 9;
  int device = 0;
  int major = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  }
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  }
  if (error != cudaSuccess) {
    return {error, "memory_attention: no CUDA device answers"};
  }
  if (major != kHopper) {
    return {
        cudaErrorNotSupported,
        "memory_attention: the kernel needs a GPU of compute capability 9.0"};
  }
  return {};
}

void MapMaker::make(
    const void* data,
    const AttentionStrides& strides,
    const HeadLayout& layout,
    int box_rows,
    TileMap& map) {
  if (!status_.ok()) {
    return;
  }
  status_ = check_tensor(data, strides, layout, shape_);
  if (!status_.ok()) {
    return;
  }
  const TileTensor tensor{
      .data = data,
      .head_dim = shape_.head_dim,
      .num_rows = layout.num_rows,
      .num_heads = layout.num_heads,
      .batch = shape_.batch,
      .num_cells = shape_.num_cells,
      .row_stride = strides.row,
      .head_stride = strides.head,
      .batch_stride = strides.batch,
      .cell_stride = strides.cell};
  if (const cudaError_t error = make_tile_map(tensor, box_rows, map); error != cudaSuccess) {
    status_ = {
        error, "memory_attention: the driver refuses a tensor map (strides below 2^40 bytes)"};
  }
}

} // namespace fcc::kernels
