#include "fcc/engine/memory_estimate.h"

#include <algorithm>

#include "fcc/model/parameters.h"

namespace fcc {

std::int64_t chunk_bytes(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    std::int64_t element_bytes) {
  const std::int64_t kv_memory = with_memory ? shape.kv_width() : 0;
  const std::int64_t columns = num_segments + (with_memory ? 1 : 0);
  // Hidden grid and its gradient.
  const std::int64_t grids = 2 * (shape.num_layers + 1) * columns * shape.rows() * shape.width;
  // qkv, attention, mid, gate_up, mlp_hidden; then the gradients of qkv and mid.
  const std::int64_t kept = 2 * (shape.q_width() + shape.kv_width() + kv_memory) + shape.q_width() +
                            2 * shape.width + 3 * shape.mlp_width;
  const std::int64_t cells = shape.num_layers * num_segments * shape.rows();
  return element_bytes * (grids + cells * kept) +
         cells * shape.heads * std::max<std::int64_t>(4, element_bytes / 2);
}

std::int64_t state_bytes(std::int64_t num_parameters, ComputeDType dtype) {
  switch (dtype) {
    case ComputeDType::kFloat64:
      return 32 * num_parameters;
    case ComputeDType::kFloat32:
      return 16 * num_parameters;
    case ComputeDType::kBFloat16:
      break;
  }
  return 18 * num_parameters;
}

std::int64_t segments_that_fit(
    const CellShape& shape,
    std::int64_t num_segments,
    bool with_memory,
    std::int64_t element_bytes,
    std::int64_t budget_bytes) {
  const std::int64_t boundary = shape.num_layers * shape.rows() * shape.width * element_bytes;
  for (std::int64_t count = num_segments; count > 1; --count) {
    const std::int64_t boundaries = (num_segments + count - 1) / count * boundary;
    if (chunk_bytes(shape, count, with_memory, element_bytes) + boundaries <= budget_bytes) {
      return count;
    }
  }
  return 1;
}

std::int64_t segments_that_fit(
    const EngineSection& engine,
    const ModelConfig& model,
    const StepShape& step,
    std::int64_t most,
    bool,
    std::int64_t budget_bytes) {
  const CellShape shape{
      .num_layers = model.num_hidden_layers,
      .batch = step.batch,
      .length = step.segment_length,
      .width = model.hidden_size,
      .heads = model.num_attention_heads,
      .groups = model.num_key_value_heads,
      .head_dim = model.head_dim,
      .mlp_width = model.intermediate_size};
  const std::int64_t element = engine.dtype == ComputeDType::kFloat64    ? 8
                               : engine.dtype == ComputeDType::kBFloat16 ? 2
                                                                         : 4;
  return segments_that_fit(
      shape,
      most,
      model.fcc.has_value(),
      element,
      budget_bytes - state_bytes(count_parameters(model), engine.dtype) - (std::int64_t{1} << 30));
}

} // namespace fcc
