#include "engine/rotary_tables.h"

#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>

#include "fcc/ops/rope.h"

namespace fcc {
namespace {

/// Tables [L, E/2] of positions first … first + L - 1.
std::pair<at::Tensor, at::Tensor> half_tables(
    const std::vector<double>& frequencies,
    std::int64_t first,
    std::int64_t length,
    const at::TensorOptions& options) {
  const RopeTable table = make_rope_table(frequencies, first, length, options);
  const std::int64_t half = table.cos.size(1) / 2;
  return {table.cos.slice(1, 0, half).contiguous(), table.sin.slice(1, half).contiguous()};
}

} // namespace

RotaryTables make_rotary_tables(
    const ModelConfig& config,
    std::int64_t length,
    bool with_memory,
    const at::TensorOptions& options) {
  const auto sums = options.dtype(options.dtype() == at::kDouble ? at::kDouble : at::kFloat);
  std::optional<RopeLlama3Scaling> scaling;
  if (config.rope_scaling) {
    scaling = RopeLlama3Scaling{
        config.rope_scaling->factor,
        config.rope_scaling->low_freq_factor,
        config.rope_scaling->high_freq_factor,
        config.rope_scaling->original_max_position_embeddings};
  }
  const auto frequencies = rope_frequencies(config.head_dim, config.rope_theta, scaling);
  RotaryTables tables;
  // RoPE is relative, so `global` positions are those of the window.
  const MemoryPositions positions =
      config.fcc ? config.fcc->memory_positions : MemoryPositions::kWindow;
  const bool window =
      positions == MemoryPositions::kWindow || positions == MemoryPositions::kGlobal;
  std::tie(tables.cos, tables.sin) =
      half_tables(frequencies, window && with_memory ? length : 0, length, sums);
  if (with_memory && positions != MemoryPositions::kNone) {
    std::tie(tables.cos_memory, tables.sin_memory) = half_tables(frequencies, 0, length, sums);
  }
  return tables;
}

} // namespace fcc
