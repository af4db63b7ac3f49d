#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "engine/cells.h"
#include "engine/launch_recorder.h"
#include "fcc/engine/engine_plan.h"

namespace fcc {

/// What stays the same for every chunk of a run: the stack, where its gradients go, the schedule.
struct ChunkPlan : CellStack {
  Schedule schedule = Schedule::kWavefront;
  MemorySource memory_source = MemorySource::kOutput;
  bool has_memory = true; ///< false: plain Llama, no memory column and no memory products
  std::int64_t weight_product_rows = kWeightProductRows;
  /// Of a stage: where its layers stand among all of them. The layers' weight products then take
  /// the same rows together as in one process. 0: all layers are here.
  std::int64_t first_layer = 0, num_all_layers = 0;
  /// Given: a chunk's launches are replayed as CUDA graphs from their third use on.
  const CudaGraphPool* graph_pool = nullptr;
};

/// The plan of chunks with segments of `length` tokens on `batch` rows, as far as their sizes go:
/// no tensors yet. What a run plans for and what it allocates follow from it alike.
ChunkPlan measured_chunk_plan(
    const EnginePlan& engine,
    const ModelConfig& model,
    std::int64_t batch,
    std::int64_t length,
    bool has_memory);

/// Segments of a chunk where at most `most` of `num_segments` fit in one: as few chunks as can be,
/// about equally long. The last of them, which is not computed twice, is then as long as can be.
std::int64_t even_chunk_segments(std::int64_t num_segments, std::int64_t most);

/// Which memories a chunk's segments see, and where their gradient stops.
struct ChunkMemory {
  /// [S][B], host: does segment s of row b see the memory before it? Empty: all do.
  std::vector<std::vector<bool>> visible;
  /// [S], host: is the gradient into the memory before segment s dropped? Empty: never.
  std::vector<bool> detached;
};

/// What a stage's pass waits for and what it has done, segment by segment. A function that is empty
/// is not asked for.
struct SegmentFlow {
  /// Forward: `x0()` of a segment is about to be read; backward: `grad_x_last()`, the last one
  /// first.
  std::function<void(std::int64_t segment)> need = {};
  /// Forward: `x_last()` of a segment is there; backward: `grad_x0()`.
  std::function<void(std::int64_t segment)> done = {};

  bool used() const {
    return need != nullptr || done != nullptr;
  }
};

/// A chunk of S segments as a function (X0, memory in) → (X_N, memory out) with its backward pass
/// (dX_N, dmemory out) → (dX0, dmemory in, dweights), over one hidden grid X [N+1, S+1, R, D]:
/// column 0 is the incoming memory, column s+1 segment s. Its buffers are views of memory that the
/// caller owns, planned once: recorded launches stay valid.
///
/// The weight products wait until they are worth their while: cells of one tick (a diagonal; a
/// segment where the schedule is sequential) leave their gradients in one slot, and when W ticks
/// are done, each layer's rows of all of them go into one product.
class Chunk {
 public:
  enum class Keep { kActivations, kNothing };

  /// arena: flat bytes, at least `own_bytes`; what lies there counts from writing `x0` to reading
  /// the last result, so that chunks which are used one after another may share it.
  /// workspace: flat, of at least `workspace_elements`, in `dtype`; in use from the start to the
  /// end of `backward` only, so others may write to it in between. Undefined with `kNothing`.
  Chunk(
      ChunkPlan plan,
      std::int64_t num_segments,
      Keep keep,
      at::ScalarType dtype,
      const at::Tensor& arena,
      const at::Tensor& workspace);

  /// The buffers that the constructor of such a chunk lays out in the arena, by name and size.
  static std::vector<PlacedTensor>
  layout(const ChunkPlan& plan, std::int64_t num_segments, Keep keep, at::ScalarType dtype);

  /// Their bytes together.
  static std::int64_t
  own_bytes(const ChunkPlan& plan, std::int64_t num_segments, Keep keep, at::ScalarType dtype);

  /// Elements that the backward pass of such a chunk needs beside its own buffers.
  static std::int64_t workspace_elements(const ChunkPlan& plan, std::int64_t num_segments);

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

  /// `before_use`, if given, is called before the launches that are the first to read the weights
  /// of a layer: those of the first diagonals are then not part of the replayed ones.
  void forward(
      const ChunkMemory& memory,
      const std::function<void(std::int64_t layer)>& before_use = {},
      const SegmentFlow& flow = {});

  /// [S, R, D] the gradient of `x_last()`, to be written before `backward`.
  at::Tensor grad_x_last() const;
  /// [S, R, D] the gradient of `x0()` after `backward`.
  at::Tensor grad_x0() const;
  /// [N, R, D] the gradient of `memory_in()` after `backward`.
  at::Tensor grad_memory_in() const;

  /// Adds to the plan's gradients; the matrices' may be overwritten instead. grad_memory_out
  /// [N, R, D] or undefined (zero).
  void backward(
      const ChunkMemory& memory,
      const at::Tensor& grad_memory_out,
      GradInput weight_mode = GradInput::kAccumulate,
      const SegmentFlow& flow = {});

  /// The same in two parts, for what may go on beside the second: all but the last round of weight
  /// products; then that round, from the last layer down, each followed by `done`.
  void backward_but_last_round(
      const ChunkMemory& memory,
      const at::Tensor& grad_memory_out,
      GradInput weight_mode,
      const SegmentFlow& flow = {});
  void last_round(GradInput weight_mode, const std::function<void(std::int64_t layer)>& done);

 private:
  /// Which rows see the memory before them. The usual case, that only the first segment of a
  /// sequence has none, is told apart: then the host knows which cells those are.
  enum class Visibility { kAll, kAllButFirst, kSome, kNone };
  /// What lies in the arena; the last three only where there is a memory.
  struct Buffers {
    at::Tensor grid;      ///< [N+1, columns, R, D]
    at::Tensor grad_grid; ///< as `grid`
    CellActivations activations;
    at::Tensor scratch;     ///< bytes: temporaries of a diagonal, of weight products
    at::Tensor visible;     ///< [S, B] bool, last segment first: a diagonal's cells are neighbours
    at::Tensor grad_memory; ///< [N, R, D]: of one diagonal where some of it is detached
    at::Tensor grad_memory_out; ///< [N, R, D]: what `backward` was given
  };
  /// What decides which launches a pass consists of.
  struct LaunchKey {
    bool backward = false;
    Visibility visibility = Visibility::kAll;
    std::vector<bool> detached = {};
    bool receives_gradient = false;
    GradInput weight_mode = GradInput::kAccumulate;
    bool in_parts = false; ///< without the first diagonals, or without the last round

    bool operator==(const LaunchKey&) const = default;
  };

  static std::int64_t temporary_bytes(
      const ChunkPlan& plan,
      std::int64_t num_segments,
      Keep keep,
      at::ScalarType dtype);
  static Buffers place_buffers(
      const ChunkPlan& plan,
      std::int64_t num_segments,
      Keep keep,
      at::ScalarType dtype,
      Placement& placement);
  void write_visibility(const ChunkMemory& memory);
  /// Diagonals `first` … `end` of the schedule.
  void forward_diagonals(std::size_t first, std::size_t end, const SegmentFlow& flow);
  void run_backward(
      const ChunkMemory& memory,
      const at::Tensor& grad_memory_out,
      GradInput weight_mode,
      bool in_parts,
      const SegmentFlow& flow);
  void backward_diagonals(const LaunchKey& key, const SegmentFlow& flow);

  std::int64_t tick_of(const Diagonal& diagonal) const; ///< among all layers
  std::int64_t first_tick_of_last_round() const;
  CellBlock block_of(const Diagonal& diagonal) const;
  CellGradients deferred_of(const Diagonal& diagonal) const;
  at::Tensor memory_layers(const at::Tensor& grid, std::int64_t segment) const;
  void add_memory_gradient(const Diagonal& diagonal, const std::vector<bool>& detached);
  void add_weight_gradients(std::int64_t first_tick, GradInput mode);
  void add_weight_gradients(std::int64_t first_tick, std::int64_t layer, GradInput mode);

  ChunkPlan plan_;
  std::int64_t num_segments_;
  Keep keep_;
  std::int64_t first_column_; ///< of segment 0: 1 with a memory column, else 0
  std::int64_t memory_layer_; ///< layer offset of what is remembered: 1 for outputs, 0 for inputs
  std::int64_t ticks_per_layer_; ///< cell (n, s) is at tick s + n · this: 1, or 0 when sequential
  std::int64_t window_;          ///< W, ticks between two rounds of weight products
  std::vector<Diagonal> order_;
  Buffers buffers_;
  CellGradients deferred_;
  Visibility visibility_ = Visibility::kAll;
  LaunchRecorder<LaunchKey> launches_;
};

} // namespace fcc
