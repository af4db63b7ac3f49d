#pragma once

#include "common/hopper.cuh"
#include "memory_attention/forward_consumer.cuh"
#include "memory_attention/forward_producer.cuh"

/// The forward pass: a persistent, warp-specialised kernel (README.md tells it as a story).
namespace fcc::kernels {

template <class Traits>
__global__ void __launch_bounds__(Traits::kThreads, 1)
    forward_kernel(const __grid_constant__ ForwardArguments arguments) {
  extern __shared__ char raw_shared[];
  const ForwardShared<Traits> shared(raw_shared);

  const int warpgroup = warp_uniform(static_cast<int>(threadIdx.x) / kWarpgroupSize);
  if (threadIdx.x == 0) {
    for (const TileMap* map : {&arguments.q, &arguments.k_cur, &arguments.v_cur}) {
      prefetch_tensor_map(&map->map);
    }
    shared.init_barriers();
    fence_mbarrier_init();
  }
  __syncthreads();

  if (warpgroup == 0) {
    release_registers<Traits::kProducerRegisters>();
    if (threadIdx.x == 0) {
      produce<Traits>(arguments, shared);
    }
  } else {
    claim_registers<Traits::kConsumerRegisters>();
    ForwardConsumer<Traits> consumer(
        arguments, shared, warpgroup - 1, static_cast<int>(threadIdx.x) % kWarpgroupSize);
    consumer.run();
  }
}

} // namespace fcc::kernels
