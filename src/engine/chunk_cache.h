#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include <ATen/core/Tensor.h>

#include "engine/chunk.h"

namespace fcc {

/// Chunks, and the memory that they share, from one pass to the next. Only one chunk is at work at
/// a time, so all of them are views of one arena, as large as the largest: lengths may change from
/// step to step (a curriculum draws them anew) and cost no memory, and each chunk's recorded
/// launches stay valid.
class ChunkCache {
 public:
  /// The chunk of this plan and size, made if it is not there. What other chunks held is void.
  /// `head_elements`: what the caller will ask `workspace()` to hold between `forward` and
  /// `backward`.
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
    std::unique_ptr<Chunk> chunk;
  };

  std::list<Entry> entries_; ///< used last: first
  at::Tensor arena_;         ///< bytes
  at::Tensor workspace_;
};

} // namespace fcc
