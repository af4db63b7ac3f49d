#include "text/bpe_merger.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "fcc/core/random.h"

namespace fcc {
namespace {

using Ids = std::vector<std::int32_t>;

ByteIds plain_bytes() {
  ByteIds bytes;
  for (int i = 0; i < 256; ++i) {
    bytes.ids[static_cast<std::size_t>(i)] = i;
  }
  return bytes;
}

/// The definition, word for word.
Ids merge_by_definition(Ids ids, const std::vector<BpeMerge>& merges) {
  std::map<std::pair<std::int32_t, std::int32_t>, BpeMerge> table;
  for (const BpeMerge& merge : merges) {
    table[{merge.left, merge.right}] = merge;
  }
  for (;;) {
    const BpeMerge* best = nullptr;
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = table.find({ids[i], ids[i + 1]});
      if (found != table.end() && (best == nullptr || found->second.rank < best->rank)) {
        best = &found->second;
        place = i;
      }
    }
    if (best == nullptr) {
      return ids;
    }
    ids[place] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

TEST(BpeMerger, FollowsTheDefinitionForShortAndLongPieces) {
  Random random(13);
  for (int round = 0; round < 6; ++round) {
    // Over three letters, so that merges are dense and overlap; equal ranks come too, as in a rank
    // file, but only where the result is the same token.
    std::vector<BpeMerge> merges;
    std::map<std::string, std::int32_t> ids = {{"a", 'a'}, {"b", 'b'}, {"c", 'c'}};
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::map<std::pair<std::int32_t, std::int32_t>, bool> known;
    while (merges.size() < 60) {
      const auto& left =
          tokens[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(tokens.size())))];
      const auto& right =
          tokens[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(tokens.size())))];
      const std::string whole = left + right;
      if (whole.size() > 9 || known[{ids[left], ids[right]}]) {
        continue;
      }
      known[{ids[left], ids[right]}] = true;
      const std::int32_t left_id = ids[left], right_id = ids[right];
      if (ids.find(whole) == ids.end()) {
        ids[whole] = 256 + static_cast<std::int32_t>(ids.size());
        tokens.push_back(whole);
      }
      merges.push_back(
          {.left = left_id,
           .right = right_id,
           .result = ids[whole],
           .rank = static_cast<std::uint32_t>(round % 2 == 0 ? merges.size() : ids[whole])});
    }
    const BpeMerger merger(merges, plain_bytes());
    BpeMerger::Scratch scratch;
    for (const int length : {0, 1, 2, 3, 17, 95, 96, 97, 98, 239, 700}) {
      std::string piece;
      for (int i = 0; i < length; ++i) {
        piece.push_back(static_cast<char>('a' + random.below(3)));
      }
      Ids result = {7}; // ids are appended
      merger.merge(piece, scratch, result);
      Ids expected = merge_by_definition(Ids(piece.begin(), piece.end()), merges);
      expected.insert(expected.begin(), 7);
      EXPECT_EQ(result, expected) << length;
    }
  }
}

TEST(BpeMerger, LeavesOutBytesWithoutAnIdOrGivesTheUnknownOne) {
  ByteIds bytes = plain_bytes();
  bytes.ids['x'] = -1;
  BpeMerger::Scratch scratch;
  const std::vector<BpeMerge> merges = {{.left = 'a', .right = 'b', .result = 300, .rank = 0}};
  const auto encode = [&](const char* text) {
    Ids ids;
    BpeMerger(merges, bytes).merge(text, scratch, ids);
    return ids;
  };
  EXPECT_EQ(encode("axxb"), Ids{300}); // as Hugging Face does: neighbours are joined
  bytes.unknown = 400;
  EXPECT_EQ(encode("axxb"), (Ids{'a', 400, 400, 'b'}));
  bytes.fuse_unknown = true;
  EXPECT_EQ(encode("axxbx"), (Ids{'a', 400, 'b', 400}));
}

} // namespace
} // namespace fcc
