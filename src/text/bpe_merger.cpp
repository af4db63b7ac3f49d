#include "text/bpe_merger.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <string>

#include "fcc/core/error.h"

namespace fcc {
namespace {

/// Up to here a linear search for the best pair beats a heap.
constexpr std::size_t kShortPiece = 96;

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

std::size_t pair_hash(std::uint64_t pair) {
  pair *= 0x9E3779B97F4A7C15u;
  return pair ^ pair >> 32;
}

std::int32_t result_of(std::uint64_t value) {
  return static_cast<std::int32_t>(value & 0xFFFFFFFFu);
}

} // namespace

BpeMerger::BpeMerger(std::span<const BpeMerge> merges, const ByteIds& bytes)
    : slots_(std::bit_ceil(2 * merges.size() + 1)), bytes_(bytes) {
  const std::size_t mask = slots_.size() - 1;
  for (const BpeMerge& merge : merges) {
    const std::uint64_t pair = pair_key(merge.left, merge.right);
    std::size_t slot = pair_hash(pair) & mask;
    while (slots_[slot].pair != kNone) {
      slot = (slot + 1) & mask;
    }
    slots_[slot] = {
        pair,
        static_cast<std::uint64_t>(merge.rank) << 32 | static_cast<std::uint32_t>(merge.result)};
  }
}

std::uint64_t BpeMerger::find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_key(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = pair_hash(pair) & mask;; slot = (slot + 1) & mask) {
    if (slots_[slot].pair == pair || slots_[slot].pair == kNone) {
      return slots_[slot].value;
    }
  }
}

void BpeMerger::start(std::string_view piece, std::vector<std::int32_t>& ids) const {
  ids.clear();
  bool after_unknown = false;
  for (const char c : piece) {
    const std::int32_t id = bytes_.ids[static_cast<unsigned char>(c)];
    if (id >= 0) {
      ids.push_back(id);
    } else if (bytes_.unknown >= 0 && !(bytes_.fuse_unknown && after_unknown)) {
      ids.push_back(bytes_.unknown);
    }
    after_unknown = id < 0;
  }
}

void BpeMerger::merge(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& ids)
    const {
  if (piece.size() > kMaxPieceBytes) {
    throw Error(
        "tokenizer",
        "a piece of text without a boundary must be at most " + std::to_string(kMaxPieceBytes) +
            " bytes long",
        std::to_string(piece.size()) + " bytes");
  }
  start(piece, scratch.ids);
  if (scratch.ids.size() <= kShortPiece) {
    merge_short(scratch);
  } else {
    merge_long(scratch);
  }
  ids.insert(ids.end(), scratch.ids.begin(), scratch.ids.end());
}

/// Closes the gap after every merge; `values[i]` is the merge of ids i and i + 1.
void BpeMerger::merge_short(Scratch& scratch) const {
  auto& ids = scratch.ids;
  auto& values = scratch.values;
  std::size_t pairs = ids.empty() ? 0 : ids.size() - 1;
  values.resize(pairs);
  for (std::size_t i = 0; i < pairs; ++i) {
    values[i] = find(ids[i], ids[i + 1]);
  }
  while (pairs > 0) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < pairs; ++i) {
      best = values[i] < values[best] ? i : best;
    }
    if (values[best] == kNone) {
      break;
    }
    ids[best] = result_of(values[best]);
    std::copy(ids.begin() + best + 2, ids.begin() + pairs + 1, ids.begin() + best + 1);
    std::copy(values.begin() + best + 1, values.begin() + pairs, values.begin() + best);
    --pairs;
    if (best > 0) {
      values[best - 1] = find(ids[best - 1], ids[best]);
    }
    if (best < pairs) {
      values[best] = find(ids[best], ids[best + 1]);
    }
  }
  ids.resize(ids.empty() ? 0 : pairs + 1);
}

/// A linked list of symbols and a heap of candidates (rank << 32 | place); a candidate whose rank
/// is no longer that of its place is stale. Each merge adds at most two, so the heap is O(n).
void BpeMerger::merge_long(Scratch& scratch) const {
  // No structured binding: clang below 16 captures none.
  auto& ids = scratch.ids;
  auto& values = scratch.values;
  auto& previous = scratch.previous;
  auto& next = scratch.next;
  auto& heap = scratch.heap;
  const auto count = static_cast<std::int32_t>(ids.size());
  const auto later = std::greater<std::uint64_t>();
  values.resize(ids.size());
  previous.resize(ids.size());
  next.resize(ids.size());
  heap.clear();
  const auto set = [&](std::int32_t at) {
    const std::int32_t after = next[at];
    values[at] = after < count ? find(ids[at], ids[after]) : kNone;
    if (values[at] != kNone) {
      heap.push_back((values[at] & ~std::uint64_t{0xFFFFFFFFu}) | static_cast<std::uint32_t>(at));
    }
    return values[at] != kNone;
  };
  for (std::int32_t i = 0; i < count; ++i) {
    previous[i] = i - 1;
    next[i] = i + 1;
  }
  for (std::int32_t i = 0; i < count; ++i) {
    set(i);
  }
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const std::uint64_t candidate = heap.back();
    heap.pop_back();
    const auto at = static_cast<std::int32_t>(candidate & 0xFFFFFFFFu);
    if (values[at] == kNone || values[at] >> 32 != candidate >> 32) {
      continue;
    }
    const std::int32_t gone = next[at];
    ids[at] = result_of(values[at]);
    values[gone] = kNone;
    next[at] = next[gone];
    if (next[at] < count) {
      previous[next[at]] = at;
    }
    if (set(at)) {
      std::push_heap(heap.begin(), heap.end(), later);
    }
    if (previous[at] >= 0 && set(previous[at])) {
      std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  std::size_t kept = 0;
  for (std::int32_t at = 0; at < count; at = next[at]) {
    ids[kept++] = ids[at];
  }
  ids.resize(kept);
}

} // namespace fcc
