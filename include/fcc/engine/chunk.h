#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/engine/cells.h"

namespace fcc {

/// What stays the same for every chunk of a run: the stack, where its gradients go, the schedule.
struct ChunkPlan {
  CellShape shape;
  StackWeights weights; ///< compute dtype
  StackWeights grads;   ///< float32 or float64; undefined tensors where nothing trains
  RotaryTables rotary;
  Schedule schedule = Schedule::kWavefront;
  MemorySource memory_source = MemorySource::kOutput;
  bool has_memory = true; ///< false: plain Llama, no memory column and no memory products
};

/// Which memories a chunk's segments see, and where their gradient is cut.
struct ChunkMemory {
  /// [S][B], host: does segment s of row b see the memory before it? Empty: all do.
  std::vector<std::vector<bool>> visible;
  /// [S], host: is the gradient into the memory before segment s dropped? Empty: never.
  std::vector<bool> cut;
};

/// A chunk of S segments as a function (X0, memory in) → (X_N, memory out) with its backward pass
/// (dX_N, dmemory out) → (dX0, dmemory in, dweights), over one hidden grid X [N+1, S+1, R, D]:
/// column 0 is the incoming memory, column s+1 segment s. Buffers are made once and used again.
class Chunk {
 public:
  enum class Keep { kActivations, kNothing };

  Chunk(
      const ChunkPlan& plan,
      std::int64_t num_segments,
      Keep keep,
      const at::TensorOptions& options);

  std::int64_t num_segments() const {
    return num_segments_;
  }
  Keep keep() const {
    return keep_;
  }

  /// [S, R, D] the embedded segments, to be written before `forward`.
  at::Tensor x0() const;
  /// [N, R, D] the incoming memory, to be written before `forward` (finite also where no row sees
  /// it).
  at::Tensor memory_in() const;
  /// [S, R, D] the last layer's output.
  at::Tensor x_last() const;
  /// [N, R, D] the memory after the last segment.
  at::Tensor memory_out() const;

  void forward(const ChunkMemory& memory);

  /// [S, R, D] the gradient of `x_last()`, to be written before `backward`.
  at::Tensor grad_x_last() const;
  /// [S, R, D] the gradient of `x0()` after `backward`.
  at::Tensor grad_x0() const;
  /// [N, R, D] the gradient of `memory_in()` after `backward`.
  at::Tensor grad_memory_in() const;

  /// Adds to the plan's gradients. grad_memory_out [N, R, D] or undefined (zero).
  void backward(const ChunkMemory& memory, const at::Tensor& grad_memory_out);

 private:
  CellBlock block_of(const Diagonal& diagonal, const ChunkMemory& memory) const;
  at::Tensor memory_layers(const at::Tensor& grid, std::int64_t segment) const;
  void add_memory_gradient(const Diagonal& diagonal, const ChunkMemory& memory);

  const ChunkPlan& plan_;
  std::int64_t num_segments_;
  Keep keep_;
  std::int64_t first_column_; ///< of segment 0: 1 with a memory column, else 0
  std::int64_t memory_layer_; ///< layer offset of what is remembered: 1 for outputs, 0 for inputs
  std::vector<Diagonal> order_;
  at::Tensor grid_;        ///< [N+1, columns, R, D]
  at::Tensor grad_grid_;   ///< as grid_
  at::Tensor grad_memory_; ///< [N, R, D] of one diagonal
  CellActivations activations_;
  CellGradients waiting_;
};

} // namespace fcc
