// How long a chunk's rounds are, and where its buffers lie.
#include <algorithm>
#include <string_view>

#include "engine/chunk_ticks.h"

namespace fcc {

std::int64_t ticks_per_layer(Schedule schedule) {
  return schedule == Schedule::kWavefront ? 1 : 0;
}

std::int64_t window_ticks(const ChunkPlan& plan, std::int64_t num_segments) {
  const std::int64_t layers = plan.num_all_layers > 0 ? plan.num_all_layers : plan.shape.num_layers;
  const std::int64_t ticks = num_segments + (layers - 1) * ticks_per_layer(plan.schedule);
  const std::int64_t rounds =
      std::max<std::int64_t>(1, num_segments * plan.shape.rows() / plan.weight_product_rows);
  const std::int64_t most =
      std::max<std::int64_t>(1, 2 * plan.weight_product_rows / plan.shape.rows());
  // A layer has no more cells than segments: a window that is much longer would only wait.
  return std::min({(ticks + rounds - 1) / rounds, most, 2 * num_segments - 1});
}

ChunkPlan measured_chunk_plan(
    const EnginePlan& engine,
    const ModelConfig& model,
    std::int64_t batch,
    std::int64_t length,
    bool has_memory) {
  ChunkPlan plan;
  plan.shape = cell_shape_of(model, batch, length);
  plan.schedule = engine.schedule;
  plan.memory_source = MemoryPolicy(model).source();
  plan.has_memory = has_memory;
  plan.weight_product_rows = engine.weight_product_rows;
  plan.num_all_layers = engine.num_all_layers;
  return plan;
}

std::int64_t even_chunk_segments(std::int64_t num_segments, std::int64_t most) {
  most = std::min(most, num_segments);
  const std::int64_t num_chunks = (num_segments + most - 1) / most;
  return (num_segments + num_chunks - 1) / num_chunks;
}

Chunk::Buffers Chunk::place_buffers(
    const ChunkPlan& plan,
    std::int64_t num_segments,
    Keep keep,
    at::ScalarType dtype,
    Placement& placement) {
  const CellShape& shape = plan.shape;
  const bool keeps = keep == Keep::kActivations;
  const std::int64_t columns = num_segments + (plan.has_memory ? 1 : 0);
  const auto place_grid = [&](std::string_view name) {
    return placement.take(name, {shape.num_layers + 1, columns, shape.rows(), shape.width}, dtype);
  };
  const auto place_memory = [&] {
    return placement.take(
        "gradients of memory", {shape.num_layers, shape.rows(), shape.width}, dtype);
  };
  Buffers placed;
  placed.grid = place_grid("hidden grid");
  placed.activations =
      place_activations(shape, keeps ? num_segments : 1, plan.has_memory, dtype, placement);
  placed.scratch = placement.take(
      "temporaries of a diagonal, of weight products",
      {temporary_bytes(plan, num_segments, keep, dtype)},
      at::kByte);
  if (plan.has_memory) {
    placed.visible =
        placement.take("which rows see their memory", {num_segments, shape.batch}, at::kBool);
  }
  if (keeps) {
    placed.grad_grid = place_grid("gradient of the hidden grid");
  }
  if (keeps && plan.has_memory) {
    placed.grad_memory = place_memory();
    placed.grad_memory_out = place_memory();
  }
  return placed;
}

std::int64_t Chunk::temporary_bytes(
    const ChunkPlan& plan,
    std::int64_t num_segments,
    Keep keep,
    at::ScalarType dtype) {
  const bool wavefront = plan.schedule == Schedule::kWavefront;
  const std::int64_t cells = wavefront ? std::min(plan.shape.num_layers, num_segments) : 1;
  const std::int64_t segments = std::min(window_ticks(plan, num_segments), num_segments);
  return scratch_bytes(
      plan.shape,
      cells,
      plan.has_memory,
      keep == Keep::kActivations ? segments * plan.shape.rows() : 0,
      dtype);
}

std::vector<PlacedTensor>
Chunk::layout(const ChunkPlan& plan, std::int64_t num_segments, Keep keep, at::ScalarType dtype) {
  Placement placement;
  place_buffers(plan, num_segments, keep, dtype, placement);
  return placement.placed();
}

std::int64_t Chunk::own_bytes(
    const ChunkPlan& plan,
    std::int64_t num_segments,
    Keep keep,
    at::ScalarType dtype) {
  Placement placement;
  place_buffers(plan, num_segments, keep, dtype, placement);
  return placement.used_bytes();
}

std::int64_t Chunk::workspace_elements(const ChunkPlan& plan, std::int64_t num_segments) {
  return plan.shape.num_layers * window_ticks(plan, num_segments) * plan.shape.rows() *
         gradient_width(plan.shape, plan.has_memory);
}

} // namespace fcc
