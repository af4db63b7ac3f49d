#include "engine/rotary_tables.h"

#include <tuple>
#include <utility>

#include <ATen/TensorOperators.h>

namespace fcc {
namespace {

/// The kernels' form of a table: cosines and sines of the pairs, [L, E/2] each.
std::pair<at::Tensor, at::Tensor> half_tables(const RopeTable& table) {
  const std::int64_t half = table.cos.size(1) / 2;
  return {table.cos.slice(1, 0, half).contiguous(), table.sin.slice(1, half).contiguous()};
}

} // namespace

RotaryTables make_rotary_tables(
    const MemoryPolicy& policy,
    std::int64_t length,
    bool with_memory,
    const at::TensorOptions& options) {
  // One table serves every segment, since RoPE is relative: that of the first one, or of the first
  // one that has a memory before it.
  const std::int64_t num_memory = with_memory ? length : 0;
  const KeyPositions positions = policy.positions(num_memory, num_memory);
  RotaryTables tables;
  std::tie(tables.cos, tables.sin) =
      half_tables(policy.rotations(positions.segment, length, options));
  if (with_memory && positions.memory) {
    std::tie(tables.cos_memory, tables.sin_memory) =
        half_tables(policy.rotations(positions.memory, length, options));
  }
  return tables;
}

} // namespace fcc
