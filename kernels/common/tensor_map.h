#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

/// Tensor maps for bulk copies of tiles, made on the host.
namespace fcc::kernels {

/// A bf16 tensor [cell, batch, head, row, E] with any strides, as tensor map dimensions.
struct TileTensor {
  const void* data = nullptr; // cell 0, 16-byte aligned
  int head_dim = 0;           // E, contiguous
  int num_rows = 0;
  int num_heads = 0;
  int batch = 0;
  int num_cells = 0;
  int64_t row_stride = 0; // strides in elements, multiples of 8
  int64_t head_stride = 0;
  int64_t batch_stride = 0;
  int64_t cell_stride = 0; // may be negative
};

/// A map and how to reach cell c in it: coordinate `first_cell + c * cell_step`. The copy engine
/// takes no negative strides, so a tensor that walks backwards is mapped from its last cell on.
struct TileMap {
  CUtensorMap map; // coordinates (element of E, row, head, batch, cell)
  int first_cell = 0;
  int cell_step = 1;
};

/// Maps boxes of 64 elements of E by `box_rows` (<= 256) rows of one head, in the 128-byte swizzle.
/// Returns cudaErrorInvalidValue where the driver refuses the strides or alignment.
cudaError_t make_tile_map(const TileTensor& tensor, int box_rows, TileMap& map);

} // namespace fcc::kernels
