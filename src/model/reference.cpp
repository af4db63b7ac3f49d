#include "fcc/model/reference.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>

#include "model/reference_stack.h"

namespace fcc {

ReferenceOutput reference_forward(
    const ModelConfig& config,
    const ModelWeights& weights,
    const at::Tensor& ids,
    const MemoryState& state,
    const ReferenceOptions& options) {
  const at::Tensor& table = weights.embed_tokens;
  ReferenceStack stack(config, options.attention, table.device(), table.scalar_type());
  return stack.forward(cut_layers(config, weights), at::embedding(table, ids), ids, state, options);
}

at::Tensor reference_logits(const ModelWeights& weights, const at::Tensor& hidden) {
  return at::linear(hidden, weights.lm_head);
}

} // namespace fcc
