#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fcc {

/// `left` and `right` side by side become `result`; of all that apply, the lowest rank goes first.
struct BpeMerge {
  std::int32_t left = 0, right = 0, result = 0;
  std::uint32_t rank = 0;
};

/// Which ids single bytes start as (-1: none), and what becomes of a byte without one.
struct ByteIds {
  std::array<std::int32_t, 256> ids{};
  std::int32_t unknown = -1; ///< its id; -1: the byte is left out
  bool fuse_unknown = false; ///< one id for a run of unknown bytes
};

/// Byte-pair encoding of one piece: its bytes become ids, then the pair of neighbours with the
/// lowest rank (the leftmost of equals) is merged until none is left
/// (Sennrich et al., arXiv 1508.07909; Radford et al., 2019, for bytes).
///
/// O(n²) with a small constant for short pieces, O(n log n) for long ones. Immutable.
class BpeMerger {
 public:
  /// Memory that `merge` uses and keeps for the next call.
  struct Scratch {
    std::vector<std::int32_t> ids;
    std::vector<std::uint64_t> values;
    std::vector<std::int32_t> previous, next;
    std::vector<std::uint64_t> heap;
  };

  /// A longer piece (a "word" of a damaged or hostile file) is refused: it would cost memory.
  static constexpr std::size_t kMaxPieceBytes = 16 << 20;

  BpeMerger() = default;
  /// Merges must not name one pair twice.
  BpeMerger(std::span<const BpeMerge> merges, const ByteIds& bytes);

  /// Whether a merge for the pair was given; for checks while a table is read.
  bool contains(std::int32_t left, std::int32_t right) const {
    return find(left, right) != kNone;
  }

  /// Appends the ids of `piece`. Errors: `Error` if it is longer than `kMaxPieceBytes`.
  void merge(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& ids) const;

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t pair = kNone;  ///< left << 32 | right
    std::uint64_t value = kNone; ///< rank << 32 | result: compares as the rank does
  };

  std::uint64_t find(std::int32_t left, std::int32_t right) const;
  void start(std::string_view piece, std::vector<std::int32_t>& ids) const;
  void merge_short(Scratch& scratch) const;
  void merge_long(Scratch& scratch) const;

  std::vector<Slot> slots_; ///< open addressing, linear probing
  ByteIds bytes_;
};

} // namespace fcc
