#include "fcc/engine/chunk.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/from_blob.h>

namespace fcc {
namespace {

std::int64_t ticks_per_layer(Schedule schedule) {
  return schedule == Schedule::kWavefront ? 1 : 0;
}

/// Ticks whose cells wait for one round of weight products: as few rounds as make products of
/// about `weight_product_rows`, all of them alike. Where segments are few and long, most ticks pass
/// a layer by: then as many as can have twice those rows, since every tick's slot takes memory.
std::int64_t window_ticks(const ChunkPlan& plan, std::int64_t num_segments) {
  const std::int64_t ticks =
      num_segments + (plan.shape.num_layers - 1) * ticks_per_layer(plan.schedule);
  const std::int64_t rounds =
      std::max<std::int64_t>(1, num_segments * plan.shape.rows() / plan.weight_product_rows);
  const std::int64_t most =
      std::max<std::int64_t>(1, 2 * plan.weight_product_rows / plan.shape.rows());
  // A layer has no more cells than segments: a window that is much longer would only wait.
  return std::min({(ticks + rounds - 1) / rounds, most, 2 * num_segments - 1});
}

/// Entries `first` … of dimension 0 as rows [count·R, width]; undefined stays undefined.
at::Tensor rows_of(const at::Tensor& kept, std::int64_t first, std::int64_t count) {
  return kept.defined() ? kept.slice(0, first, first + count).flatten(0, 1) : kept;
}

at::Tensor layer_of(const at::Tensor& kept, std::int64_t layer) {
  return kept.defined() ? kept.select(0, layer) : kept;
}

} // namespace

std::int64_t even_chunk_segments(std::int64_t num_segments, std::int64_t most) {
  const std::int64_t num_chunks = (num_segments + most - 1) / most;
  return (num_segments + num_chunks - 1) / num_chunks;
}

Chunk::Chunk(
    ChunkPlan plan,
    std::int64_t num_segments,
    Keep keep,
    at::ScalarType dtype,
    const at::Tensor& arena,
    const at::Tensor& workspace)
    : plan_(std::move(plan)),
      num_segments_(num_segments),
      keep_(keep),
      first_column_(plan_.has_memory ? 1 : 0),
      memory_layer_(plan_.memory_source == MemorySource::kOutput ? 1 : 0),
      ticks_per_layer_(ticks_per_layer(plan_.schedule)),
      window_(window_ticks(plan_, num_segments)),
      order_(make_schedule(plan_.schedule, plan_.shape.num_layers, num_segments)) {
  Placement placement(arena);
  buffers_ = place_buffers(plan_, num_segments, keep, dtype, placement);
  if (keep == Keep::kActivations) {
    deferred_ = place_cell_gradients(plan_.shape, window_, plan_.has_memory, workspace);
  }
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
  const auto place_grid = [&] {
    return placement.take({shape.num_layers + 1, columns, shape.rows(), shape.width}, dtype);
  };
  const auto place_memory = [&] {
    return placement.take({shape.num_layers, shape.rows(), shape.width}, dtype);
  };
  Buffers placed;
  placed.grid = place_grid();
  placed.activations =
      place_activations(shape, keeps ? num_segments : 1, plan.has_memory, dtype, placement);
  placed.scratch = placement.take({temporary_bytes(plan, num_segments, keep, dtype)}, at::kByte);
  if (plan.has_memory) {
    placed.visible = placement.take({num_segments, shape.batch}, at::kBool);
  }
  if (keeps) {
    placed.grad_grid = place_grid();
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

at::Tensor Chunk::x0() const {
  return buffers_.grid.select(0, 0).slice(0, first_column_);
}

at::Tensor Chunk::x_last() const {
  return buffers_.grid.select(0, plan_.shape.num_layers).slice(0, first_column_);
}

at::Tensor Chunk::grad_x0() const {
  return buffers_.grad_grid.select(0, 0).slice(0, first_column_);
}

at::Tensor Chunk::grad_x_last() const {
  return buffers_.grad_grid.select(0, plan_.shape.num_layers).slice(0, first_column_);
}

at::Tensor Chunk::memory_in() const {
  return memory_layers(buffers_.grid, -1);
}

at::Tensor Chunk::memory_out() const {
  return memory_layers(buffers_.grid, num_segments_ - 1);
}

at::Tensor Chunk::grad_memory_in() const {
  return memory_layers(buffers_.grad_grid, -1);
}

at::Tensor Chunk::memory_layers(const at::Tensor& grid, std::int64_t segment) const {
  return grid.select(1, segment + first_column_)
      .slice(0, memory_layer_, memory_layer_ + plan_.shape.num_layers);
}

void Chunk::write_visibility(const ChunkMemory& memory) {
  if (!plan_.has_memory) {
    visibility_ = Visibility::kNone;
    return;
  }
  std::vector<std::uint8_t> rows;
  for (auto segment = memory.visible.rbegin(); segment != memory.visible.rend(); ++segment) {
    rows.insert(rows.end(), segment->begin(), segment->end());
  }
  const auto num_visible = std::count(rows.begin(), rows.end(), std::uint8_t{1});
  if (num_visible == static_cast<std::int64_t>(rows.size())) {
    visibility_ = Visibility::kAll;
    return;
  }
  const auto first = static_cast<std::ptrdiff_t>(rows.size()) - plan_.shape.batch;
  if (num_visible == 0) {
    visibility_ = Visibility::kNone;
  } else if (num_visible == first && std::count(rows.begin(), rows.begin() + first, 1) == first) {
    visibility_ = Visibility::kAllButFirst;
  } else {
    visibility_ = Visibility::kSome;
  }
  if (visibility_ != Visibility::kNone) {
    buffers_.visible.copy_(at::from_blob(rows.data(), buffers_.visible.sizes(), at::kByte));
  }
}

std::int64_t Chunk::tick_of(const Diagonal& diagonal) const {
  return diagonal.first_segment + diagonal.first_layer * ticks_per_layer_;
}

CellBlock Chunk::block_of(const Diagonal& diagonal) const {
  const auto cells = [&](const at::Tensor& kept) { // [N, S, …] → [C, …]
    if (!kept.defined()) {
      return kept;
    }
    // Where nothing is kept, every layer has one place for all its segments.
    return keep_ == Keep::kActivations
               ? diagonal_view(kept, diagonal)
               : kept.select(1, 0).slice(
                     0, diagonal.first_layer, diagonal.first_layer + diagonal.num_cells);
  };
  CellBlock block;
  block.diagonal = diagonal;
  block.x = diagonal_view(buffers_.grid, diagonal, 0, first_column_);
  block.activations = {
      cells(buffers_.activations.qkv),
      cells(buffers_.activations.kv_memory),
      cells(buffers_.activations.attention),
      cells(buffers_.activations.lse),
      cells(buffers_.activations.mid),
      cells(buffers_.activations.gate_up)};
  if (visibility_ != Visibility::kNone) {
    block.memory = diagonal_view(buffers_.grid, diagonal, memory_layer_, first_column_ - 1);
  }
  block.last_cell_has_none =
      visibility_ == Visibility::kAllButFirst && diagonal.segment(diagonal.num_cells - 1) == 0;
  if (visibility_ == Visibility::kSome || block.last_cell_has_none) {
    const std::int64_t first = num_segments_ - 1 - diagonal.first_segment;
    block.has_memory = buffers_.visible.slice(0, first, first + diagonal.num_cells);
  }
  return block;
}

CellGradients Chunk::deferred_of(const Diagonal& diagonal) const {
  const std::int64_t slot = tick_of(diagonal) % window_;
  const auto cells = [&](const at::Tensor& kept) { // [N, W, R, …] → [C, R, …]
    return kept.defined() ? kept.select(1, slot).slice(
                                0, diagonal.first_layer, diagonal.first_layer + diagonal.num_cells)
                          : kept;
  };
  return {
      cells(deferred_.qkv),
      cells(deferred_.kv_memory),
      cells(deferred_.mid),
      cells(deferred_.mlp_hidden)};
}

void Chunk::forward(const ChunkMemory& memory) {
  write_visibility(memory);
  launches_.run(
      {.backward = false, .visibility = visibility_},
      buffers_.grid.device(),
      plan_.graph_pool,
      [this] { forward_diagonals(); });
}

void Chunk::forward_diagonals() {
  for (const Diagonal& diagonal : order_) {
    forward_cells(
        plan_,
        block_of(diagonal),
        diagonal_view(buffers_.grid, diagonal, 1, first_column_),
        Placement(buffers_.scratch));
  }
}

void Chunk::add_memory_gradient(const Diagonal& diagonal, const std::vector<bool>& detached) {
  const at::Tensor target =
      diagonal_view(buffers_.grad_grid, diagonal, memory_layer_, first_column_ - 1);
  for (std::int64_t cell = 0; cell < diagonal.num_cells; ++cell) {
    if (!detached[static_cast<std::size_t>(diagonal.segment(cell))]) {
      target.select(0, cell).add_(buffers_.grad_memory.select(0, cell));
    }
  }
}

void Chunk::backward(
    const ChunkMemory& memory,
    const at::Tensor& grad_memory_out,
    GradInput weight_mode) {
  write_visibility(memory);
  const bool receives = plan_.has_memory && grad_memory_out.defined();
  if (receives) {
    buffers_.grad_memory_out.copy_(grad_memory_out);
  }
  const LaunchKey key{
      .backward = true,
      .visibility = visibility_,
      .detached = memory.detached,
      .receives_gradient = receives,
      .weight_mode = weight_mode};
  launches_.run(key, buffers_.grid.device(), plan_.graph_pool, [&] { backward_diagonals(key); });
}

void Chunk::backward_diagonals(const LaunchKey& key) {
  const std::vector<bool>& detached = key.detached;
  const std::int64_t layers = plan_.shape.num_layers;
  // In a wavefront over remembered outputs, X[n][s] gets its gradient from cell (n, s) first and
  // from the memory of cell (n-1, s+1), on the same diagonal, after it. In any other order the
  // memory's part can come first: then all but the last layer's start at zero and every cell adds.
  const bool adds =
      plan_.memory_source == MemorySource::kInput || plan_.schedule == Schedule::kSequential;
  if (plan_.has_memory) {
    buffers_.grad_grid.select(1, 0).zero_();
  }
  if (adds) {
    buffers_.grad_grid.slice(0, 0, layers).slice(1, first_column_).zero_();
  }
  const auto receive = [&](std::int64_t row) { // the gradient of the memory out, in grid row `row`
    const std::int64_t layer = row - memory_layer_;
    if (key.receives_gradient && layer >= 0 && layer < layers) {
      buffers_.grad_grid.select(0, row)
          .select(0, num_segments_ - 1 + first_column_)
          .add_(buffers_.grad_memory_out.select(0, layer));
    }
  };
  receive(layers);
  for (std::int64_t row = 0; adds && row < layers; ++row) {
    receive(row);
  }

  for (auto diagonal = order_.rbegin(); diagonal != order_.rend(); ++diagonal) {
    const CellBlock block = block_of(*diagonal);
    // A detached memory gets no gradient (bptt_segments), while the weights that read it do.
    bool any_detached = false;
    for (std::int64_t cell = 0; cell < diagonal->num_cells && !detached.empty(); ++cell) {
      any_detached = any_detached || detached[static_cast<std::size_t>(diagonal->segment(cell))];
    }
    GradTarget to_memory;
    if (block.memory.defined()) {
      to_memory =
          any_detached
              ? GradTarget{buffers_.grad_memory.slice(0, 0, diagonal->num_cells)}
              : GradTarget{
                    diagonal_view(buffers_.grad_grid, *diagonal, memory_layer_, first_column_ - 1),
                    GradInput::kAccumulate};
    }
    backward_cells(
        plan_,
        block,
        {.out = diagonal_view(buffers_.grad_grid, *diagonal, 1, first_column_),
         .x =
             {diagonal_view(buffers_.grad_grid, *diagonal, 0, first_column_),
              adds ? GradInput::kAccumulate : GradInput::kOverwrite},
         .memory = to_memory,
         .deferred = deferred_of(*diagonal)},
        Placement(buffers_.scratch));
    if (block.memory.defined() && any_detached) {
      add_memory_gradient(*diagonal, detached);
    }
    // The last segment's cell has just written X's gradient: the next chunk's part comes on top.
    if (!adds && diagonal->first_segment == num_segments_ - 1) {
      receive(diagonal->first_layer);
    }
    const auto next = diagonal + 1;
    const std::int64_t tick = tick_of(*diagonal);
    if (tick % window_ == 0 && (next == order_.rend() || tick_of(*next) != tick)) {
      add_weight_gradients(tick, key.weight_mode);
    }
  }
}

void Chunk::add_weight_gradients(std::int64_t first_tick, GradInput mode) {
  for (std::int64_t n = 0; n < plan_.shape.num_layers; ++n) {
    // The segments of layer n in ticks first_tick … first_tick + W - 1.
    const std::int64_t shift = n * ticks_per_layer_ - first_tick;
    const std::int64_t first = std::max<std::int64_t>(0, -shift);
    const std::int64_t last = std::min(num_segments_, window_ - shift);
    if (last <= first) {
      continue;
    }
    const auto kept = [&](const at::Tensor& by_segment) {
      return rows_of(layer_of(by_segment, n), first, last - first);
    };
    const auto by_layer = [&](const at::Tensor& by_slot) {
      return rows_of(layer_of(by_slot, n), first + shift, last - first);
    };
    const auto grid_rows = [&](const at::Tensor& grid, std::int64_t layer, std::int64_t column) {
      return rows_of(grid.select(0, layer), first + column, last - first);
    };
    LayerRows rows;
    rows.x = grid_rows(buffers_.grid, n, first_column_);
    rows.grad_out = grid_rows(buffers_.grad_grid, n + 1, first_column_);
    if (visibility_ != Visibility::kNone) {
      rows.memory = grid_rows(buffers_.grid, n + memory_layer_, first_column_ - 1);
    }
    rows.activations.attention = kept(buffers_.activations.attention);
    rows.activations.mid = kept(buffers_.activations.mid);
    rows.activations.gate_up = kept(buffers_.activations.gate_up);
    rows.deferred = {
        by_layer(deferred_.qkv),
        by_layer(deferred_.kv_memory),
        by_layer(deferred_.mid),
        by_layer(deferred_.mlp_hidden)};
    // The backward pass meets the last segment first: only its round may overwrite.
    const GradInput round_mode = last == num_segments_ ? mode : GradInput::kAccumulate;
    weight_gradients(plan_, n, rows, round_mode, Placement(buffers_.scratch));
  }
}

} // namespace fcc
