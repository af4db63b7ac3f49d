#include "elementwise/elementwise.h"
#include "elementwise/vec8.cuh"

namespace fcc::kernels {
namespace {

/// A thread turns eight pairs of one head and row.
__global__ void rope_kernel(const RopeParams p) {
  const int half_vectors = p.head_dim / 16;
  const int per_row = p.num_heads * half_vectors;
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t row = index / per_row;
  if (row >= p.num_rows) {
    return;
  }
  const int within = static_cast<int>(index - row * per_row);
  const int head = within / half_vectors, i = 8 * (within - head * half_vectors);
  const int half = p.head_dim / 2;
  auto* first = static_cast<__nv_bfloat16*>(p.x.data) + blockIdx.y * p.x.cell + row * p.row +
                head * p.head_dim + i;
  const std::int64_t angle = (row % p.length) * half + i;
  const Float8 a = widen(load8(first)), b = widen(load8(first + half));
  Float8 turned_a, turned_b;
#pragma unroll
  for (int e = 0; e < 8; ++e) {
    const float c = p.cos[angle + e];
    const float s = p.inverse ? -p.sin[angle + e] : p.sin[angle + e];
    turned_a.value[e] = a.value[e] * c - b.value[e] * s;
    turned_b.value[e] = b.value[e] * c + a.value[e] * s;
  }
  store8(first, narrow(turned_a));
  store8(first + half, narrow(turned_b));
}

} // namespace

cudaError_t rope(const RopeParams& params) {
  if (params.head_dim % 16 != 0) {
    return cudaErrorInvalidValue;
  }
  const std::int64_t threads =
      static_cast<std::int64_t>(params.num_rows) * params.num_heads * (params.head_dim / 16);
  if (threads == 0) {
    return cudaSuccess;
  }
  const dim3 grid(static_cast<unsigned>((threads + 255) / 256), params.num_cells);
  rope_kernel<<<grid, 256, 0, params.stream>>>(params);
  return cudaGetLastError();
}

} // namespace fcc::kernels
