#include "memory_attention/forward_variants.h"
#include "memory_attention/launch_common.h"

namespace fcc::kernels {
namespace {

KernelStatus check(const MemoryAttentionForwardParams& params) {
  if (const KernelStatus status = check_shape(params.shape); !status.ok()) {
    return status;
  }
  // Written so that NaN is refused, too.
  if (!(params.scale > 0.0F)) {
    return {cudaErrorInvalidValue, "memory_attention: scale must be positive"};
  }
  if (params.lse == nullptr) {
    return {cudaErrorInvalidValue, "memory_attention: lse is null"};
  }
  if (params.shape.num_queries > 1 && params.lse_strides.row != 1) {
    return {cudaErrorInvalidValue, "memory_attention: rows of lse must be contiguous"};
  }
  return {};
}

} // namespace

KernelStatus memory_attention_forward(const MemoryAttentionForwardParams& params) {
  if (const KernelStatus status = check(params); !status.ok()) {
    return status;
  }
  return params.shape.head_dim == 64 ? forward_e64(params) : forward_e128(params);
}

} // namespace fcc::kernels
