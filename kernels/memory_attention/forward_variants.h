#pragma once

#include "memory_attention/memory_attention.h"

namespace fcc::kernels {

/// The forward of one head width for checked parameters; one source each, since they compile apart.
KernelStatus forward_e64(const MemoryAttentionForwardParams& params);
KernelStatus forward_e128(const MemoryAttentionForwardParams& params);

} // namespace fcc::kernels
