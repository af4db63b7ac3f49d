#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/model_config.h"
#include "fcc/model/memory_policy.h"

namespace fcc {

/// All rows of a segment so far, in one layer: what its products put out, before rotation.
struct HeadRows {
  at::Tensor input; ///< [B, c, D] normed, what the products were made of
  at::Tensor q;     ///< [B, c, H, E]
  at::Tensor k, v;  ///< [B, c, G, E]

  /// These rows, then `more`. No rows at all: undefined tensors.
  HeadRows joined(const HeadRows& more) const;
};

/// A memory of fixed size in the heads of a layer, beside the segment's own causal attention: the
/// segment's rows read it, and are written into it (docs/memories.md).
///
/// Query head h reads the memory of key/value head h / (H/G). What is carried is [B, rows, width],
/// float32 at least, zeros before anything was read; a memory of zeros is one of nothing.
/// Differentiable in everything; computes in the memory's dtype. Rows of the batch are independent.
class HeadMemory {
 public:
  struct Shape {
    std::int64_t rows = 0, width = 0; ///< of what a row of the batch carries in a layer
  };
  struct Step {
    at::Tensor output; ///< [B, t, H, E], in the dtype of `attention`
    at::Tensor memory; ///< [B, rows, width] after all c rows
  };

  virtual ~HeadMemory() = default;
  virtual Shape shape() const = 0;
  /// The weights that it adds to a layer.
  virtual std::vector<MemoryWeightLayout> weights() const = 0;
  /// What the heads put out for the last t of the c rows, of which `attention` [B, t, H, E] is the
  /// segment's own. `memory` is that of the closed segments, whatever c is.
  virtual Step advance(
      const at::Tensor& attention,
      const HeadRows& rows,
      const at::Tensor& memory,
      const MemoryWeights<at::Tensor>& weights) const = 0;
};

/// The memory of `config`'s architecture; null where it lies elsewhere.
std::unique_ptr<const HeadMemory> make_head_memory(const ModelConfig& config);

} // namespace fcc
