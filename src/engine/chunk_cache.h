#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include <ATen/core/Tensor.h>

#include "fcc/engine/chunk.h"

namespace fcc {

/// Chunks and the workspace that they share, kept from one pass to the next: their buffers are
/// planned once for a shape, and their recorded launches stay valid.
///
/// Several small chunks are kept side by side (a curriculum draws its lengths anew each step); of
/// large ones, one that keeps activations and one that does not.
class ChunkCache {
 public:
  /// The chunk of this plan and size, made if it is not there. `head_elements`: what the caller
  /// will ask `workspace()` to hold between `forward` and `backward`.
  Chunk& get(
      const ChunkPlan& plan,
      std::int64_t num_segments,
      Chunk::Keep keep,
      const at::TensorOptions& options,
      std::int64_t head_elements);

  /// Flat, shared by all chunks' backward passes; undefined if none was needed.
  const at::Tensor& workspace() const {
    return workspace_;
  }

 private:
  struct Entry {
    CellShape shape;
    bool has_memory = true;
    std::int64_t bytes = 0;
    std::unique_ptr<Chunk> chunk;
  };

  std::list<Entry> entries_; ///< used last: first
  at::Tensor workspace_;
};

} // namespace fcc
