#pragma once

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "fcc/ops/memory_attention.h"

namespace fcc {

/// One layer at work, shown to whoever wants to look: the rows that were just fed (t of them).
struct LayerView {
  std::int64_t layer = 0;    ///< n, from 0
  const at::Tensor& input;   ///< X[n], [B, t, D]
  const at::Tensor& output;  ///< X[n+1], [B, t, D]
  const at::Tensor& q;       ///< [B, t, H, E], rotated
  const at::Tensor& k;       ///< [B, c, G, E], every key the layer holds, the rows' own last
  const AttentionMask& mask; ///< which of the c keys the t rows see
};
using LayerObserver = std::function<void(const LayerView&)>;

} // namespace fcc
