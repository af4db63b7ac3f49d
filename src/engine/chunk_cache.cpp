#include "engine/chunk_cache.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/ScalarType.h>

namespace fcc {
namespace {

constexpr std::size_t kMostChunks = 16;

void give_back_free_memory(const at::Device& device) {
  if (!device.is_cpu()) {
    c10::getDeviceAllocator(device.type())->emptyCache();
  }
}

bool holds(const at::Tensor& flat, std::int64_t count) {
  return count == 0 || (flat.defined() && flat.numel() >= count);
}

} // namespace

Chunk& ChunkCache::get(
    const ChunkPlan& plan,
    std::int64_t num_segments,
    Chunk::Keep keep,
    const at::TensorOptions& options,
    std::int64_t head_elements) {
  const auto same = [&](const Entry& entry) {
    return entry.shape == plan.shape && entry.has_memory == plan.has_memory &&
           entry.chunk->num_segments() == num_segments && entry.chunk->keep() == keep;
  };
  const auto found = std::find_if(entries_.begin(), entries_.end(), same);
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return *entries_.front().chunk;
  }

  const at::ScalarType dtype = c10::typeMetaToScalarType(options.dtype());
  const std::int64_t bytes = Chunk::own_bytes(plan, num_segments, keep, dtype);
  const bool keeps = keep == Chunk::Keep::kActivations;
  const std::int64_t needed =
      keeps ? std::max(head_elements, Chunk::workspace_elements(plan, num_segments)) : 0;
  if (!holds(arena_, bytes) || !holds(workspace_, needed)) {
    entries_.clear(); // they are views of what is about to go
  }
  if (!holds(arena_, bytes)) {
    arena_ = at::Tensor();
    give_back_free_memory(options.device()); // else the old one would be kept beside the new one
    arena_ = at::empty({bytes}, options.dtype(at::kByte));
  }
  if (!holds(workspace_, needed)) {
    workspace_ = at::Tensor();
    give_back_free_memory(options.device());
    workspace_ = at::empty({needed}, options);
  }
  if (entries_.size() == kMostChunks) {
    entries_.pop_back();
  }
  entries_.push_front(
      {plan.shape,
       plan.has_memory,
       std::make_unique<Chunk>(
           plan, num_segments, keep, dtype, arena_, keeps ? workspace_ : at::Tensor())});
  return *entries_.front().chunk;
}

} // namespace fcc
