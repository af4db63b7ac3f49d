#include "memory_attention/forward_launch.cuh"
#include "memory_attention/forward_variants.h"

namespace fcc::kernels {
namespace {

// Four warpgroups hide each other's latencies best, and 64 keys are what their 112 registers a
// thread hold. Few items go to twice as many, smaller blocks, whose only cure is longer tiles.
using ManyItems = ForwardTraits<64, 4, 64, 8>;
using FewItems = ForwardTraits<64, 2, 128, 4, true>;

} // namespace

KernelStatus forward_e64(const MemoryAttentionForwardParams& params) {
  return launch_one_of<ManyItems, FewItems>(params);
}

} // namespace fcc::kernels
