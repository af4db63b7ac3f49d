#pragma once

#include <algorithm>

#include "memory_attention/backward_consumer.cuh"
#include "memory_attention/backward_producer.cuh"

namespace fcc::kernels::backward {

/// Lets a kernel that was launched to overlap start once all blocks have come here.
__device__ __forceinline__ void allow_next_kernel() {
  asm volatile("griddepcontrol.launch_dependents;");
}

/// Waits until the kernel before has completed and its writes are visible.
__device__ __forceinline__ void wait_for_previous_kernel() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

/// One warpgroup loads (a single thread of it), the others compute. The CTAs stay for the whole
/// launch, so that the next item's copies run under the current one's products.
template <class Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    gradient_kernel(const __grid_constant__ KernelParams params) {
  extern __shared__ uint8_t raw_shared[];
  auto& shared = *reinterpret_cast<typename Traits::Shared*>(
      raw_shared + ((1024U - (shared_address(raw_shared) & 1023U)) & 1023U));

  if (threadIdx.x == 0) {
    constexpr uint32_t kConsumerWarps = Traits::kWarpgroups * kWarpgroupSize / kWarpSize;
    for (int i = 0; i < Traits::kKeptStages; ++i) {
      mbarrier_init(&shared.kept_full[i], 1);
      mbarrier_init(&shared.kept_empty[i], kConsumerWarps);
    }
    for (int i = 0; i < Traits::kStages; ++i) {
      mbarrier_init(&shared.tile_full[i], 1);
      mbarrier_init(
          &shared.tile_empty[i],
          Traits::kTogether ? kConsumerWarps / Traits::kWarpgroups : kConsumerWarps);
    }
    fence_mbarrier_init();
  }
  __syncthreads();

  if constexpr (Traits::kRole == Role::kQueries) {
    if (blockIdx.x == 0 && threadIdx.x == 0) {
      *params.next_item = 0;
    }
    allow_next_kernel();
  }
  const int role = warp_uniform(static_cast<int>(threadIdx.x) / kWarpgroupSize);
  if (role == Traits::kWarpgroups) {
    release_registers<Traits::kProducerRegisters>();
    if (threadIdx.x == Traits::kWarpgroups * kWarpgroupSize) {
      if constexpr (Traits::kRole == Role::kKeys) {
        wait_for_previous_kernel(); // which writes the statistics
      }
      Producer<Traits>(params, shared).run();
    }
  } else {
    claim_registers<Traits::kConsumerRegisters>();
    Consumer<Traits>(params, shared, role).run();
  }
}

template <class Traits>
cudaError_t
launch_gradient_kernel(const KernelParams& params, int num_multiprocessors, cudaStream_t stream) {
  constexpr size_t kSharedBytes = sizeof(typename Traits::Shared) + 1024;
  const cudaError_t error = cudaFuncSetAttribute(
      gradient_kernel<Traits>,
      cudaFuncAttributeMaxDynamicSharedMemorySize,
      static_cast<int>(kSharedBytes));
  if (error != cudaSuccess) {
    return error;
  }
  const int items = num_items<Traits::kRole, Traits::kItemBlocks>(params.shape);
  // The kernel for keys may start while the last blocks of the one for queries still run.
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned int>(std::min(items, num_multiprocessors)));
  config.blockDim = dim3(Traits::kThreads);
  config.dynamicSmemBytes = kSharedBytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = Traits::kRole == Role::kKeys ? 1 : 0;
  return cudaLaunchKernelEx(&config, gradient_kernel<Traits>, params);
}

/// The kernel for dQ and, after it, that for dK and dV.
template <class Queries, class Keys>
cudaError_t
launch_gradient_kernels(const KernelParams& params, int num_multiprocessors, cudaStream_t stream) {
  const cudaError_t error = launch_gradient_kernel<Queries>(params, num_multiprocessors, stream);
  return error != cudaSuccess ? error
                              : launch_gradient_kernel<Keys>(params, num_multiprocessors, stream);
}

/// Whether `Together`, with twice as many items of half the length, fills the multiprocessors so
/// much better than `Keys` that it makes up for its lower rate.
template <class Keys, class Together>
bool should_share_blocks(const MemoryAttentionShape& shape, int num_multiprocessors) {
  // What a round of items takes, in hundredths of a long one: measured at E 128.
  constexpr int kLongRound = 100;
  constexpr int kShortRound = 65;
  const int rounds =
      ceil_divide(num_items<Role::kKeys, Keys::kItemBlocks>(shape), num_multiprocessors);
  const int short_rounds =
      ceil_divide(num_items<Role::kKeys, Together::kItemBlocks>(shape), num_multiprocessors);
  return short_rounds * kShortRound < rounds * kLongRound;
}

} // namespace fcc::kernels::backward
