#include "fcc/engine/chunk.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>

namespace fcc {

Chunk::Chunk(
    const ChunkPlan& plan,
    std::int64_t num_segments,
    Keep keep,
    const at::TensorOptions& options)
    : plan_(plan),
      num_segments_(num_segments),
      keep_(keep),
      first_column_(plan.has_memory ? 1 : 0),
      memory_layer_(plan.memory_source == MemorySource::kOutput ? 1 : 0),
      order_(make_schedule(plan.schedule, plan.shape.num_layers, num_segments)) {
  const CellShape& shape = plan.shape;
  grid_ = at::empty(
      {shape.num_layers + 1, num_segments + first_column_, shape.rows(), shape.width}, options);
  const bool keeps = keep == Keep::kActivations;
  activations_ = make_activations(shape, keeps ? num_segments : 1, plan.has_memory, options);
  if (keeps) {
    waiting_ = make_cell_gradients(shape, num_segments, plan.has_memory, options);
    grad_grid_ = at::empty_like(grid_);
    if (plan.has_memory) {
      grad_memory_ = at::empty({shape.num_layers, shape.rows(), shape.width}, options);
    }
  }
}

at::Tensor Chunk::x0() const {
  return grid_.select(0, 0).slice(0, first_column_);
}

at::Tensor Chunk::x_last() const {
  return grid_.select(0, plan_.shape.num_layers).slice(0, first_column_);
}

at::Tensor Chunk::grad_x0() const {
  return grad_grid_.select(0, 0).slice(0, first_column_);
}

at::Tensor Chunk::grad_x_last() const {
  return grad_grid_.select(0, plan_.shape.num_layers).slice(0, first_column_);
}

at::Tensor Chunk::memory_in() const {
  return memory_layers(grid_, -1);
}

at::Tensor Chunk::memory_out() const {
  return memory_layers(grid_, num_segments_ - 1);
}

at::Tensor Chunk::grad_memory_in() const {
  return memory_layers(grad_grid_, -1);
}

at::Tensor Chunk::memory_layers(const at::Tensor& grid, std::int64_t segment) const {
  return grid.select(1, segment + first_column_)
      .slice(0, memory_layer_, memory_layer_ + plan_.shape.num_layers);
}

CellBlock Chunk::block_of(const Diagonal& diagonal, const ChunkMemory& memory) const {
  CellBlock block;
  block.diagonal = diagonal;
  block.x = diagonal_view(grid_, diagonal, 0, first_column_);
  if (!plan_.has_memory) {
    return block;
  }
  const auto batch = static_cast<std::size_t>(plan_.shape.batch);
  std::int64_t num_visible = 0;
  std::vector<std::uint8_t> flags;
  for (std::int64_t cell = 0; cell < diagonal.num_cells && !memory.visible.empty(); ++cell) {
    const auto& rows = memory.visible[static_cast<std::size_t>(diagonal.segment(cell))];
    num_visible += std::count(rows.begin(), rows.end(), true);
    flags.insert(flags.end(), rows.begin(), rows.end());
  }
  if (!flags.empty() && num_visible == 0) {
    return block;
  }
  block.memory = diagonal_view(grid_, diagonal, memory_layer_, first_column_ - 1);
  if (num_visible < static_cast<std::int64_t>(flags.size())) {
    block.has_memory = at::tensor(flags, at::kByte)
                           .to(grid_.device(), at::kBool)
                           .view({diagonal.num_cells, static_cast<std::int64_t>(batch)});
  }
  return block;
}

void Chunk::forward(const ChunkMemory& memory) {
  for (const Diagonal& diagonal : order_) {
    forward_cells(
        plan_.shape,
        plan_.weights,
        plan_.rotary,
        block_of(diagonal, memory),
        activations_,
        diagonal_view(grid_, diagonal, 1, first_column_));
  }
}

void Chunk::add_memory_gradient(const Diagonal& diagonal, const ChunkMemory& memory) {
  // Runs of cells whose memory gradient flows; a cut segment's does not (bptt_segments).
  const auto cut = [&](std::int64_t cell) {
    return !memory.cut.empty() && memory.cut[static_cast<std::size_t>(diagonal.segment(cell))];
  };
  const at::Tensor target = diagonal_view(grad_grid_, diagonal, memory_layer_, first_column_ - 1);
  for (std::int64_t first = 0; first < diagonal.num_cells;) {
    std::int64_t last = first;
    while (last < diagonal.num_cells && !cut(last)) {
      ++last;
    }
    if (last > first) {
      target.slice(0, first, last).add_(grad_memory_.slice(0, first, last));
    }
    first = last + 1;
  }
}

void Chunk::backward(const ChunkMemory& memory, const at::Tensor& grad_memory_out) {
  const std::int64_t layers = plan_.shape.num_layers;
  // In a wavefront over remembered outputs, X[n][s] gets its gradient from cell (n, s) first and
  // from the memory of cell (n-1, s+1), on the same diagonal, after it. In any other order the
  // memory's part can come first: then all but the last layer's start at zero and every cell adds.
  const bool adds =
      plan_.memory_source == MemorySource::kInput || plan_.schedule == Schedule::kSequential;
  if (plan_.has_memory) {
    grad_grid_.select(1, 0).zero_();
  }
  if (adds) {
    grad_grid_.slice(0, 0, layers).slice(1, first_column_).zero_();
  }
  const auto receive = [&](std::int64_t row) { // the gradient of the memory out, in grid row `row`
    const std::int64_t layer = row - memory_layer_;
    if (grad_memory_out.defined() && layer >= 0 && layer < layers) {
      grad_grid_.select(0, row)
          .select(0, num_segments_ - 1 + first_column_)
          .add_(grad_memory_out.select(0, layer));
    }
  };
  receive(layers);
  for (std::int64_t row = 0; adds && row < layers; ++row) {
    receive(row);
  }

  for (auto diagonal = order_.rbegin(); diagonal != order_.rend(); ++diagonal) {
    const CellBlock block = block_of(*diagonal, memory);
    const at::Tensor grad_memory =
        block.memory.defined() ? grad_memory_.slice(0, 0, diagonal->num_cells) : at::Tensor();
    if (plan_.has_memory && !block.memory.defined()) {
      diagonal_view(waiting_.kv_memory, *diagonal).zero_();
    }
    backward_cells(
        plan_.shape,
        plan_.weights,
        plan_.rotary,
        block,
        activations_,
        waiting_,
        diagonal_view(grad_grid_, *diagonal, 1, first_column_),
        /*accumulate_x=*/adds,
        diagonal_view(grad_grid_, *diagonal, 0, first_column_),
        grad_memory,
        plan_.grads);
    if (block.memory.defined()) {
      add_memory_gradient(*diagonal, memory);
    }
    // The last segment's cell has just written X's gradient: the next chunk's part comes on top.
    if (!adds && diagonal->first_segment == num_segments_ - 1) {
      receive(diagonal->first_layer);
    }
  }

  const auto segments = [&](const at::Tensor& grid, std::int64_t first_row, std::int64_t shift) {
    return grid.slice(0, first_row, first_row + layers)
        .slice(1, first_column_ + shift, first_column_ + shift + num_segments_);
  };
  weight_gradients(
      plan_.shape,
      plan_.weights,
      segments(grid_, 0, 0),
      plan_.has_memory ? segments(grid_, memory_layer_, -1) : at::Tensor(),
      segments(grad_grid_, 1, 0),
      activations_,
      waiting_,
      plan_.grads);
}

} // namespace fcc
