#pragma once

#include <memory>

#include <ATen/core/Tensor.h>

#include "fcc/ops/attention.h"

// cuDNN's fused attention. With the GPU code built, src/ops/cuda implements this; without it,
// src/ops/no_cuda does, and says that the build has none.
namespace fcc {

class CudnnGraphs;

namespace cudnn_ops {

/// An empty collection of graphs. Errors: `Error` in a build without GPU code.
std::shared_ptr<CudnnGraphs> make_graphs();

/// q, out [B, L, H, E], k, v [B, Lk, G, E], lse [B, H, L] float32; last dimension contiguous.
/// Errors: `Error` with cuDNN's own words where it has no engine for the shape.
void forward(
    CudnnGraphs& graphs,
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    VisibleKeys visible,
    at::Tensor out,
    at::Tensor lse);

/// Overwrites grads, shaped like q, k and v.
void backward(
    CudnnGraphs& graphs,
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionForward& forward,
    const at::Tensor& grad_out,
    VisibleKeys visible,
    SumOrder order,
    AttentionGradients grads);

} // namespace cudnn_ops
} // namespace fcc
