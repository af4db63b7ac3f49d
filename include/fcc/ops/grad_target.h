#pragma once

#include <ATen/core/Tensor.h>

namespace fcc {

/// Whether a gradient replaces what is there or is added to it.
enum class GradInput { kOverwrite, kAccumulate };

/// Where a gradient goes.
struct GradTarget {
  at::Tensor grad;
  GradInput mode = GradInput::kOverwrite;
};

} // namespace fcc
