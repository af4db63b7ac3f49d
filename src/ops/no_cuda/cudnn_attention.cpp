// The build without GPU code has no cuDNN either.
#include "ops/cudnn_attention.h"

#include "fcc/core/error.h"

namespace fcc {

class CudnnGraphs {};

namespace cudnn_ops {
namespace {

[[noreturn]] void absent(const char* where) {
  throw Error(
      where, "cuDNN is not in this build: it has no GPU code", {}, "configure with FCC_CUDA=ON");
}

} // namespace

std::shared_ptr<CudnnGraphs> make_graphs() {
  absent("memory_attention");
}

void forward(
    CudnnGraphs&,
    const at::Tensor&,
    const at::Tensor&,
    const at::Tensor&,
    VisibleKeys,
    at::Tensor,
    at::Tensor) {
  absent("memory_attention_forward");
}

void backward(
    CudnnGraphs&,
    const at::Tensor&,
    const at::Tensor&,
    const at::Tensor&,
    const AttentionForward&,
    const at::Tensor&,
    VisibleKeys,
    SumOrder,
    AttentionGradients) {
  absent("memory_attention_backward");
}

} // namespace cudnn_ops
} // namespace fcc
