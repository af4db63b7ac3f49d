#include "engine/chunk_cache.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

namespace fcc {
namespace {

constexpr std::int64_t kSmallBytes = std::int64_t{1} << 30; // of all kept chunks of one kind
constexpr std::size_t kMostChunks = 8;

} // namespace

Chunk& ChunkCache::get(
    const ChunkPlan& plan,
    std::int64_t num_segments,
    Chunk::Keep keep,
    const at::TensorOptions& options,
    std::int64_t head_elements) {
  const bool keeps = keep == Chunk::Keep::kActivations;
  const std::int64_t needed =
      keeps ? std::max(head_elements, Chunk::workspace_elements(plan, num_segments)) : 0;
  if (needed > 0 && (!workspace_.defined() || workspace_.numel() < needed)) {
    // Every chunk that goes backward holds views of it.
    entries_.remove_if(
        [](const Entry& entry) { return entry.chunk->keep() == Chunk::Keep::kActivations; });
    workspace_ = at::Tensor();
    workspace_ = at::empty({needed}, options);
  }
  const auto same = [&](const Entry& entry) {
    return entry.shape == plan.shape && entry.has_memory == plan.has_memory &&
           entry.chunk->num_segments() == num_segments && entry.chunk->keep() == keep;
  };
  const auto found = std::find_if(entries_.begin(), entries_.end(), same);
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return *entries_.front().chunk;
  }

  const std::int64_t bytes =
      Chunk::own_elements(plan, num_segments, keep) *
      static_cast<std::int64_t>(c10::elementSize(c10::typeMetaToScalarType(options.dtype())));
  std::int64_t total = bytes;
  std::size_t count = 1;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const bool alike = entry->chunk->keep() == keep;
    const bool stays = !alike || (total + entry->bytes <= kSmallBytes && count < kMostChunks);
    if (stays && alike) {
      total += entry->bytes;
      ++count;
    }
    entry = stays ? std::next(entry) : entries_.erase(entry);
  }
  entries_.push_front(
      {plan.shape,
       plan.has_memory,
       bytes,
       std::make_unique<Chunk>(plan, num_segments, keep, options, workspace_)});
  return *entries_.front().chunk;
}

} // namespace fcc
