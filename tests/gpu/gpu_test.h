// What the tests on a GPU share.
#pragma once

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "ops/kernels.h"

namespace fcc {

/// 90 for 9.0; 0 without a GPU or a build with GPU code.
inline int gpu_capability() {
  return at::globalContext().hasCUDA() ? kernel_ops::compute_capability(at::kCUDA) : 0;
}

#define SKIP_WITHOUT_GPU()                                            \
  if (gpu_capability() < 80) {                                        \
    GTEST_SKIP() << "needs a GPU of compute capability 8.0 or later"; \
  }

#define SKIP_WITHOUT_HOPPER()                                \
  if (gpu_capability() / 10 != 9) {                          \
    GTEST_SKIP() << "needs a GPU of compute capability 9.0"; \
  }

inline at::TensorOptions gpu(at::ScalarType dtype) {
  return at::TensorOptions().device(at::kCUDA).dtype(dtype);
}

inline at::Tensor random_bf16(at::IntArrayRef sizes) {
  return at::randn(sizes, gpu(at::kFloat)).to(at::kBFloat16);
}

inline double relative(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide = b.to(at::kDouble);
  return ((a.to(at::kDouble) - wide).norm() / (wide.norm() + 1e-30)).item<double>();
}

} // namespace fcc
