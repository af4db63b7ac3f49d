#include "engine/chunk.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/from_blob.h>

#include "engine/chunk_ticks.h"

namespace fcc {
namespace {

/// Entries `first` … of dimension 0 as rows [count·R, width]; undefined stays undefined.
at::Tensor rows_of(const at::Tensor& kept, std::int64_t first, std::int64_t count) {
  return kept.defined() ? kept.slice(0, first, first + count).flatten(0, 1) : kept;
}

at::Tensor layer_of(const at::Tensor& kept, std::int64_t layer) {
  return kept.defined() ? kept.select(0, layer) : kept;
}

} // namespace

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
  return diagonal.first_segment + (plan_.first_layer + diagonal.first_layer) * ticks_per_layer_;
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

void Chunk::forward(
    const ChunkMemory& memory,
    const std::function<void(std::int64_t layer)>& before_use,
    const SegmentFlow& flow) {
  write_visibility(memory);
  std::size_t first = 0;
  if (before_use) {
    for (std::int64_t layer = 0; layer < plan_.shape.num_layers; ++first) {
      for (; layer < order_[first].first_layer + order_[first].num_cells; ++layer) {
        before_use(layer);
      }
      forward_diagonals(first, first + 1, flow);
    }
  }
  if (first == order_.size()) {
    return;
  }
  launches_.run(
      {.backward = false, .visibility = visibility_, .in_parts = first > 0},
      buffers_.grid.device(),
      flow.used() ? nullptr : plan_.graph_pool, // the host has to act between its launches
      [&] { forward_diagonals(first, order_.size(), flow); });
}

void Chunk::forward_diagonals(std::size_t first, std::size_t end, const SegmentFlow& flow) {
  for (std::size_t i = first; i < end; ++i) {
    const Diagonal& diagonal = order_[i];
    if (flow.need && diagonal.first_layer == 0) {
      flow.need(diagonal.first_segment);
    }
    forward_cells(
        plan_,
        block_of(diagonal),
        diagonal_view(buffers_.grid, diagonal, 1, first_column_),
        Placement(buffers_.scratch));
    const std::int64_t top = diagonal.num_cells - 1;
    if (flow.done && diagonal.first_layer + top == plan_.shape.num_layers - 1) {
      flow.done(diagonal.segment(top));
    }
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
    GradInput weight_mode,
    const SegmentFlow& flow) {
  run_backward(memory, grad_memory_out, weight_mode, /*in_parts=*/false, flow);
}

void Chunk::backward_but_last_round(
    const ChunkMemory& memory,
    const at::Tensor& grad_memory_out,
    GradInput weight_mode,
    const SegmentFlow& flow) {
  run_backward(memory, grad_memory_out, weight_mode, /*in_parts=*/true, flow);
}

void Chunk::last_round(GradInput weight_mode, const std::function<void(std::int64_t layer)>& done) {
  for (std::int64_t n = plan_.shape.num_layers - 1; n >= 0; --n) {
    add_weight_gradients(first_tick_of_last_round(), n, weight_mode);
    done(n);
  }
}

std::int64_t Chunk::first_tick_of_last_round() const {
  return plan_.first_layer * ticks_per_layer_ / window_ * window_;
}

void Chunk::run_backward(
    const ChunkMemory& memory,
    const at::Tensor& grad_memory_out,
    GradInput weight_mode,
    bool in_parts,
    const SegmentFlow& flow) {
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
      .weight_mode = weight_mode,
      .in_parts = in_parts};
  launches_.run(key, buffers_.grid.device(), flow.used() ? nullptr : plan_.graph_pool, [&] {
    backward_diagonals(key, flow);
  });
}

void Chunk::backward_diagonals(const LaunchKey& key, const SegmentFlow& flow) {
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
  if (flow.need) {
    flow.need(num_segments_ - 1);
  }
  receive(layers);
  for (std::int64_t row = 0; adds && row < layers; ++row) {
    receive(row);
  }

  for (auto diagonal = order_.rbegin(); diagonal != order_.rend(); ++diagonal) {
    // The memory's part of dX[N][s] comes from cell (N-1, s+1), on top of what is received.
    const std::int64_t top = diagonal->num_cells - 1;
    if (flow.need && diagonal->first_layer + top == layers - 1 && diagonal->segment(top) > 0) {
      flow.need(diagonal->segment(top) - 1);
    }
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
    if (flow.done && diagonal->first_layer == 0) {
      flow.done(diagonal->first_segment);
    }
    const auto next = diagonal + 1;
    const std::int64_t tick = tick_of(*diagonal);
    const bool ends_round = next == order_.rend() || tick_of(*next) / window_ != tick / window_;
    const std::int64_t first_tick = tick / window_ * window_;
    if (ends_round && !(key.in_parts && first_tick == first_tick_of_last_round())) {
      add_weight_gradients(first_tick, key.weight_mode);
    }
  }
}

void Chunk::add_weight_gradients(std::int64_t first_tick, GradInput mode) {
  for (std::int64_t n = 0; n < plan_.shape.num_layers; ++n) {
    add_weight_gradients(first_tick, n, mode);
  }
}

void Chunk::add_weight_gradients(std::int64_t first_tick, std::int64_t n, GradInput mode) {
  // The segments of layer n in ticks first_tick … first_tick + W - 1.
  const std::int64_t shift = (plan_.first_layer + n) * ticks_per_layer_ - first_tick;
  const std::int64_t first = std::max<std::int64_t>(0, -shift);
  const std::int64_t last = std::min(num_segments_, window_ - shift);
  if (last <= first) {
    return;
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

} // namespace fcc
