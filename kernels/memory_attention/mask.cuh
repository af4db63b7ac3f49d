#pragma once

#include <cmath>

/// Which keys a query sees, tile by tile.
///
/// A problem's keys are cut into tiles of its memory part and tiles of its current part; the two
/// parts never share a tile, so their border may lie anywhere. A query tile of rows [r, r + 64)
/// visits, from the last to the first, the current tiles that begin at or before row r and then all
/// memory tiles. Key tiles are a multiple of 64 long, so the whole diagonal of a query tile lies in
/// its first key tile and every row sees at least one key there: its own. Only that tile and the
/// last one of the memory (where the copy engine filled in zeros) need a mask.
namespace fcc::kernels {

/// Hides the columns at and beyond `limit[0]` (this thread's upper row) and `limit[1]` (lower row)
/// of a score fragment; see wgmma.cuh for the layout.
template <int kCount>
__device__ __forceinline__ void
hide_columns_from(float (&scores)[kCount], const int (&limit)[2], int lane) {
  const int first_column = 2 * (lane % 4);
#pragma unroll
  for (int i = 0; i < kCount / 4; ++i) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int column = 8 * i + first_column + k % 2;
      if (column >= limit[k / 2]) {
        scores[4 * i + k] = -INFINITY;
      }
    }
  }
}

} // namespace fcc::kernels
