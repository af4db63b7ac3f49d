#include "memory_attention/backward_kernel.cuh"

namespace fcc::kernels::backward {

cudaError_t launch_gradients_e64(const KernelParams& params,
                                 int num_multiprocessors,
                                 cudaStream_t stream) {
  using Queries = Traits<64, Role::kQueries, 3, 64, 6, 2, 0, true, true, 32, 160>;
  using Keys = Traits<64, Role::kKeys, 2, 64, 6, 2, 1, true, true, 24, 240>;
  const cudaError_t error = launch_gradient_kernel<Queries>(params, num_multiprocessors, stream);
  return error != cudaSuccess ? error
                              : launch_gradient_kernel<Keys>(params, num_multiprocessors, stream);
}

}  // namespace fcc::kernels::backward
