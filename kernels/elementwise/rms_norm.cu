#include "elementwise/elementwise.h"
#include "elementwise/vec8.cuh"

namespace fcc::kernels {
namespace {

constexpr int kWarps = 8;       // of a block; each warp takes whole rows
constexpr int kRowsPerWarp = 8; // in the backward: shares one partial sum of the weight's gradient

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

/// One block takes kWarps · kRowsPerWarp rows; its warps' sums for the weight meet in shared
/// memory.
template <int V>
__global__ void __launch_bounds__(32 * kWarps) backward_kernel(const RmsNormBackwardParams p) {
  extern __shared__ float sums[]; // [D]
  const int cell = blockIdx.y, lane = threadIdx.x, warp = threadIdx.y;
  const int vectors = p.width / 8;
  const auto* weight = static_cast<const __nv_bfloat16*>(p.weight) + cell * p.weight_cell;
  const bool with_weight = p.grad_weight != nullptr;
  Float8 weight_sum[V] = {};
  for (int k = 0; k < kRowsPerWarp; ++k) {
    const int row = (blockIdx.x * kRowsPerWarp + k) * kWarps + warp;
    if (row >= p.num_rows) {
      break;
    }
    const __nv_bfloat16* x = row_of(p.x, cell, row, p.width);
    const __nv_bfloat16* grad = row_of(p.grad_out, cell, row, p.width);
    Vec8 x_held[V], grad_held[V];
    float squares = 0.0F, dot = 0.0F; // Σ x², Σ grad ⊙ weight ⊙ x
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int i = v * 32 + lane;
      if (i < vectors) {
        x_held[v] = load8(x + 8 * i);
        grad_held[v] = load8(grad + 8 * i);
        const Float8 x_wide = widen(x_held[v]), grad_wide = widen(grad_held[v]);
        const Float8 scale = widen(load8(weight + 8 * i));
#pragma unroll
        for (int e = 0; e < 8; ++e) {
          squares += x_wide.value[e] * x_wide.value[e];
          dot += grad_wide.value[e] * scale.value[e] * x_wide.value[e];
        }
      }
    }
    const float root = rsqrtf(warp_sum(squares) / static_cast<float>(p.width) + p.eps);
    const float mean = warp_sum(dot) * root * root / static_cast<float>(p.width);
    const bool with_residual = p.residual.data != nullptr;
    const __nv_bfloat16* residual =
        with_residual ? row_of(p.residual, cell, row, p.width) : nullptr;
    auto* grad_x = const_cast<__nv_bfloat16*>(row_of(p.grad_x, cell, row, p.width));
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const int i = v * 32 + lane;
      if (i < vectors) {
        const Float8 x_wide = widen(x_held[v]), grad_wide = widen(grad_held[v]);
        const Float8 scale = widen(load8(weight + 8 * i));
        Float8 result;
#pragma unroll
        for (int e = 0; e < 8; ++e) {
          result.value[e] = root * (grad_wide.value[e] * scale.value[e] - x_wide.value[e] * mean);
          weight_sum[v].value[e] += grad_wide.value[e] * x_wide.value[e] * root;
        }
        if (with_residual) {
          const Float8 more = widen(load8(residual + 8 * i));
#pragma unroll
          for (int e = 0; e < 8; ++e) {
            result.value[e] += more.value[e];
          }
        }
        if (p.accumulate) {
          const Float8 more = widen(load8(grad_x + 8 * i));
#pragma unroll
          for (int e = 0; e < 8; ++e) {
            result.value[e] += more.value[e];
          }
        }
        store8(grad_x + 8 * i, narrow(result));
      }
    }
  }
  if (!with_weight) {
    return;
  }
  // Warp after warp, so that the sum's order is fixed.
  for (int turn = 0; turn < kWarps; ++turn) {
    if (warp == turn) {
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const int i = v * 32 + lane;
        if (i < vectors) {
#pragma unroll
          for (int e = 0; e < 8; ++e) {
            const float before = turn == 0 ? 0.0F : sums[8 * i + e];
            sums[8 * i + e] = before + weight_sum[v].value[e];
          }
        }
      }
    }
    __syncthreads();
  }
  float* partial =
      p.partials + (static_cast<std::int64_t>(cell) * gridDim.x + blockIdx.x) * p.width;
  for (int i = warp * 32 + lane; i < p.width; i += 32 * kWarps) {
    partial[i] = sums[i];
  }
}

/// grad_weight[c] += Σ over blocks of partials[c].
__global__ void reduce_kernel(const RmsNormBackwardParams p, int num_blocks) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x, cell = blockIdx.y;
  if (column >= p.width) {
    return;
  }
  const float* partial = p.partials + static_cast<std::int64_t>(cell) * num_blocks * p.width;
  float sum = 0.0F;
  for (int block = 0; block < num_blocks; ++block) {
    sum += partial[static_cast<std::int64_t>(block) * p.width + column];
  }
  p.grad_weight[cell * p.grad_weight_cell + column] += sum;
}

int backward_blocks(int num_rows) {
  return (num_rows + kWarps * kRowsPerWarp - 1) / (kWarps * kRowsPerWarp);
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
  return std::int64_t{4} * num_cells * backward_blocks(num_rows) * width;
}

cudaError_t rms_norm_backward(const RmsNormBackwardParams& params) {
  if (params.num_rows == 0) {
    return cudaSuccess;
  }
  const int blocks = backward_blocks(params.num_rows);
  const cudaError_t error = by_width(params.width, [&]<int V>() {
    backward_kernel<V>
        <<<dim3(blocks, params.num_cells),
           dim3(32, kWarps),
           sizeof(float) * params.width,
           params.stream>>>(params);
  });
  if (error != cudaSuccess || params.grad_weight == nullptr) {
    return error;
  }
  reduce_kernel<<<dim3((params.width + 127) / 128, params.num_cells), 128, 0, params.stream>>>(
      params, blocks);
  return cudaGetLastError();
}

} // namespace fcc::kernels
