#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace fcc::kernels {

/// Eight bfloat16 values as one 16-byte access.
struct alignas(16) Vec8 {
  __nv_bfloat162 pair[4];
};

/// The eight values in float32.
struct Float8 {
  float value[8];
};

__device__ __forceinline__ Vec8 load8(const __nv_bfloat16* address) {
  return *reinterpret_cast<const Vec8*>(address);
}

__device__ __forceinline__ void store8(__nv_bfloat16* address, const Vec8& vec) {
  *reinterpret_cast<Vec8*>(address) = vec;
}

__device__ __forceinline__ Float8 widen(const Vec8& vec) {
  Float8 wide;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 both = __bfloat1622float2(vec.pair[i]);
    wide.value[2 * i] = both.x;
    wide.value[2 * i + 1] = both.y;
  }
  return wide;
}

__device__ __forceinline__ Vec8 narrow(const Float8& wide) {
  Vec8 vec;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    vec.pair[i] = __floats2bfloat162_rn(wide.value[2 * i], wide.value[2 * i + 1]);
  }
  return vec;
}

/// The sum over the lanes of a warp, in every lane; always added in the same order.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffffU, value, offset);
  }
  return value;
}

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, offset));
  }
  return value;
}

} // namespace fcc::kernels
