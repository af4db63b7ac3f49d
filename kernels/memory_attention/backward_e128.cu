#include "memory_attention/backward_kernel.cuh"

namespace fcc::kernels::backward {

cudaError_t
launch_gradients_e128(const KernelParams& params, int num_multiprocessors, cudaStream_t stream) {
  using Queries = Traits<128, Role::kQueries, 3, 64, 3, 1, 0, Schedule::kTurns, false, 32, 160>;
  using Keys = Traits<128, Role::kKeys, 2, 64, 4, 1, 0, Schedule::kTurns, false, 24, 240>;
  using Together = Traits<128, Role::kKeys, 2, 64, 3, 1, 0, Schedule::kSplit, true, 24, 240>;
  return should_share_blocks<Keys, Together>(params.shape, num_multiprocessors)
             ? launch_gradient_kernels<Queries, Together>(params, num_multiprocessors, stream)
             : launch_gradient_kernels<Queries, Keys>(params, num_multiprocessors, stream);
}

} // namespace fcc::kernels::backward
