#include <algorithm>

#include "elementwise/elementwise.h"
#include "elementwise/vec8.cuh"

namespace fcc::kernels {
namespace {

constexpr int kWarps = 8; // of a block of the forward; each warp takes a whole row

// The backward
constexpr int kMaxThreads = 512;        // eight columns each: width 4096
constexpr int kRowsAtOnce = 4;          // loads in flight against registers
constexpr int kMaxRowsPerBlock = 32;    // that share one partial sum of the weight's gradient
constexpr int kWaveThreads = 132 * 512; // that an H100 runs at once
constexpr int kReduceWarps = 8;

__device__ __forceinline__ const __nv_bfloat16*
row_of(const CellRows& tensor, int cell, int row, int width) {
  return static_cast<const __nv_bfloat16*>(tensor.data) + cell * tensor.cell +
         static_cast<std::int64_t>(row) * width;
}

/// V: vectors of 8 a lane holds, so that a row is read from memory once.
template <int V>
__global__ void __launch_bounds__(32 * kWarps) forward_kernel(const RmsNormParams p) {
  const int row = blockIdx.x * kWarps + threadIdx.y, cell = blockIdx.y, lane = threadIdx.x;
  if (row >= p.num_memory_rows + p.num_rows) {
    return;
  }
  const int vectors = p.width / 8;
  const bool of_memory = row < p.num_memory_rows;
  const __nv_bfloat16* x = of_memory ? row_of(p.memory, cell, row, p.width)
                                     : row_of(p.x, cell, row - p.num_memory_rows, p.width);
  const auto* weight =
      of_memory ? static_cast<const __nv_bfloat16*>(p.memory_weight) + cell * p.memory_weight_cell
                : static_cast<const __nv_bfloat16*>(p.weight) + cell * p.weight_cell;
  Vec8 held[V];
  float squares = 0.0F;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const int i = v * 32 + lane;
    if (i < vectors) {
      held[v] = load8(x + 8 * i);
      const Float8 wide = widen(held[v]);
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        squares += wide.value[e] * wide.value[e];
      }
    }
  }
  const float root = rsqrtf(warp_sum(squares) / static_cast<float>(p.width) + p.eps);
  auto* out = const_cast<__nv_bfloat16*>(row_of(p.out, cell, row, p.width));
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const int i = v * 32 + lane;
    if (i < vectors) {
      Float8 wide = widen(held[v]);
      const Float8 scale = widen(load8(weight + 8 * i));
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        wide.value[e] *= root * scale.value[e];
      }
      store8(out + 8 * i, narrow(wide));
    }
  }
}

/// Columns are a thread's for good: it holds the weights of its eight and sums their gradient, and
/// the rows go by, kRowsAtOnce together, so that each barrier is worth that many loads.
__global__ void __launch_bounds__(kMaxThreads)
    backward_kernel(const RmsNormBackwardParams p, int rows_per_block) {
  __shared__ float2 of_warp[2][kRowsAtOnce][kMaxThreads / 32]; // Σ x², Σ grad ⊙ weight ⊙ x
  const int cell = blockIdx.y, column = 8 * threadIdx.x;
  const int warp = threadIdx.x / 32, num_warps = blockDim.x / 32;
  const bool mine = column < p.width;
  const int first = blockIdx.x * rows_per_block, last = min(first + rows_per_block, p.num_rows);
  const auto* weight = static_cast<const __nv_bfloat16*>(p.weight) + cell * p.weight_cell;
  const Vec8 scale = mine ? load8(weight + column) : Vec8{};
  // What is added comes with the other loads; where two things are, the second comes late.
  const bool both = p.residual.data != nullptr && p.accumulate;
  const CellRows summand = p.residual.data != nullptr || !p.accumulate ? p.residual : p.grad_x;
  Float8 weight_sum = {};
  int side = 0; // of the buffer: a warp may be one round ahead of the slowest reader
  for (int row = first; row < last; row += kRowsAtOnce, side ^= 1) {
    Vec8 x[kRowsAtOnce] = {}, grad[kRowsAtOnce] = {}, added[kRowsAtOnce] = {};
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      if (mine && row + r < last) {
        x[r] = load8(row_of(p.x, cell, row + r, p.width) + column);
        grad[r] = load8(row_of(p.grad_out, cell, row + r, p.width) + column);
        if (summand.data != nullptr) {
          added[r] = load8(row_of(summand, cell, row + r, p.width) + column);
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      const Float8 x_wide = widen(x[r]), grad_wide = widen(grad[r]), weight_wide = widen(scale);
      float squares = 0.0F, dot = 0.0F;
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        squares += x_wide.value[e] * x_wide.value[e];
        dot += grad_wide.value[e] * weight_wide.value[e] * x_wide.value[e];
      }
      squares = warp_sum(squares);
      dot = warp_sum(dot);
      if (threadIdx.x % 32 == 0) {
        of_warp[side][r][warp] = {squares, dot};
      }
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      float squares = 0.0F, dot = 0.0F;
      for (int w = 0; w < num_warps; ++w) {
        squares += of_warp[side][r][w].x;
        dot += of_warp[side][r][w].y;
      }
      const float root = rsqrtf(squares / static_cast<float>(p.width) + p.eps);
      const float mean = dot * root * root / static_cast<float>(p.width);
      const Float8 x_wide = widen(x[r]), grad_wide = widen(grad[r]), weight_wide = widen(scale);
      const Float8 added_wide = widen(added[r]);
      Float8 result;
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        result.value[e] =
            root * (grad_wide.value[e] * weight_wide.value[e] - x_wide.value[e] * mean) +
            added_wide.value[e];
        // Rows beyond the last are zeros, of which an eps of 0 makes an infinite root.
        weight_sum.value[e] += row + r < last ? grad_wide.value[e] * x_wide.value[e] * root : 0.0F;
      }
      if (mine && row + r < last) {
        auto* out = const_cast<__nv_bfloat16*>(row_of(p.grad_x, cell, row + r, p.width)) + column;
        if (both) {
          const Float8 before = widen(load8(out));
#pragma unroll
          for (int e = 0; e < 8; ++e) {
            result.value[e] += before.value[e];
          }
        }
        store8(out, narrow(result));
      }
    }
  }
  if (p.grad_weight == nullptr || !mine) {
    return;
  }
  auto* partial = reinterpret_cast<float4*>(
      p.partials + (static_cast<std::int64_t>(cell) * gridDim.x + blockIdx.x) * p.width + column);
  const float* sum = weight_sum.value;
  partial[0] = {sum[0], sum[1], sum[2], sum[3]};
  partial[1] = {sum[4], sum[5], sum[6], sum[7]};
}

/// grad_weight[c] += Σ over blocks of partials[c]: a warp takes 32 columns of every kReduceWarps-th
/// partial, and the warps' sums are added in their order.
__global__ void __launch_bounds__(32 * kReduceWarps)
    reduce_kernel(const RmsNormBackwardParams p, int num_blocks) {
  __shared__ float of_warp[kReduceWarps][32];
  const int column = blockIdx.x * 32 + threadIdx.x, cell = blockIdx.y;
  const float* partial = p.partials + static_cast<std::int64_t>(cell) * num_blocks * p.width;
  float sum = 0.0F;
#pragma unroll 4
  for (int block = threadIdx.y; column < p.width && block < num_blocks; block += kReduceWarps) {
    sum += partial[static_cast<std::int64_t>(block) * p.width + column];
  }
  of_warp[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && column < p.width) {
    float total = 0.0F;
    for (int w = 0; w < kReduceWarps; ++w) {
      total += of_warp[w][threadIdx.x];
    }
    p.grad_weight[cell * p.grad_weight_cell + column] += total;
  }
}

int backward_threads(int width) {
  return (width / 8 + 31) / 32 * 32;
}

/// As many as make one wave of blocks of half a multiprocessor's share of registers.
int rows_per_block(int num_cells, int num_rows, int width) {
  const int blocks = kWaveThreads / backward_threads(width);
  const int rows = (num_cells * num_rows + blocks - 1) / blocks;
  const int whole = std::max((rows + kRowsAtOnce - 1) / kRowsAtOnce, 1) * kRowsAtOnce;
  return std::min(whole, kMaxRowsPerBlock);
}

int backward_blocks(int num_cells, int num_rows, int width) {
  const int rows = rows_per_block(num_cells, num_rows, width);
  return (num_rows + rows - 1) / rows;
}

/// Calls `launch.template operator()<V>()` with the fewest vectors a lane that hold a row.
template <typename Launch>
cudaError_t by_width(int width, Launch launch) {
  if (width <= 0 || width % 8 != 0) {
    return cudaErrorInvalidValue;
  }
  const int vectors = (width / 8 + 31) / 32;
  if (vectors <= 1) {
    launch.template operator()<1>();
  } else if (vectors <= 2) {
    launch.template operator()<2>();
  } else if (vectors <= 4) {
    launch.template operator()<4>();
  } else if (vectors <= 8) {
    launch.template operator()<8>();
  } else if (vectors <= 12) {
    launch.template operator()<12>();
  } else if (vectors <= 16) {
    launch.template operator()<16>();
  } else {
    return cudaErrorInvalidValue;
  }
  return cudaGetLastError();
}

} // namespace

cudaError_t rms_norm_forward(const RmsNormParams& params) {
  const int num_rows = params.num_memory_rows + params.num_rows;
  if (num_rows == 0) {
    return cudaSuccess;
  }
  return by_width(params.width, [&]<int V>() {
    const dim3 grid((num_rows + kWarps - 1) / kWarps, params.num_cells);
    forward_kernel<V><<<grid, dim3(32, kWarps), 0, params.stream>>>(params);
  });
}

std::int64_t rms_norm_backward_workspace_bytes(int num_cells, int num_rows, int width) {
  return std::int64_t{4} * num_cells * backward_blocks(num_cells, num_rows, width) * width;
}

cudaError_t rms_norm_backward(const RmsNormBackwardParams& params) {
  if (params.num_rows == 0) {
    return cudaSuccess;
  }
  if (params.width <= 0 || params.width % 8 != 0 || params.width > 8 * kMaxThreads) {
    return cudaErrorInvalidValue;
  }
  const int rows = rows_per_block(params.num_cells, params.num_rows, params.width);
  const int blocks = backward_blocks(params.num_cells, params.num_rows, params.width);
  backward_kernel<<<
      dim3(blocks, params.num_cells),
      backward_threads(params.width),
      0,
      params.stream>>>(params, rows);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess || params.grad_weight == nullptr) {
    return error;
  }
  const dim3 grid((params.width + 31) / 32, params.num_cells);
  reduce_kernel<<<grid, dim3(32, kReduceWarps), 0, params.stream>>>(params, blocks);
  return cudaGetLastError();
}

} // namespace fcc::kernels
