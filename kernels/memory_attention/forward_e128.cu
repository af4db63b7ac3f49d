#include "memory_attention/forward_launch.cuh"
#include "memory_attention/forward_variants.h"

namespace fcc::kernels {
namespace {

// Three warpgroups of 160 registers a thread: 64 for the output, 32 for scores, 16 for
// probabilities. Few items go to smaller blocks, whose only cure is longer tiles.
using ManyItems = ForwardTraits<128, 3, 64, 4>;
using FewItems = ForwardTraits<128, 2, 128, 2, true>;

} // namespace

KernelStatus forward_e128(const MemoryAttentionForwardParams& params) {
  return launch_one_of<ManyItems, FewItems>(params);
}

} // namespace fcc::kernels
