#include "memory_attention/backward_kernel.cuh"

namespace fcc::kernels::backward {

cudaError_t
launch_gradients_e64(const KernelParams& params, int num_multiprocessors, cudaStream_t stream) {
  using Queries = Traits<64, Role::kQueries, 3, 64, 6, 2, 0, Schedule::kTurns, false, 32, 160>;
  using Keys = Traits<64, Role::kKeys, 2, 64, 6, 1, 2, Schedule::kSplit, true, 24, 240>;
  return launch_gradient_kernels<Queries, Keys>(params, num_multiprocessors, stream);
}

} // namespace fcc::kernels::backward
