#include "text/added_tokens.h"

#include <gtest/gtest.h>

#include <ostream>

namespace fcc {
namespace {

struct Found {
  std::size_t start = 0, end = 0;
  std::int32_t id = 0;
  bool operator==(const Found&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Found& found) {
  return out << found.id << " [" << found.start << ", " << found.end << ")";
}

std::vector<Found> all_of(const AddedTokenFinder& finder, std::string_view text) {
  std::vector<Found> all;
  AddedTokenFinder::Cursor cursor;
  while (const auto match = finder.find(text, cursor)) {
    all.push_back({match->start, match->end, match->id});
  }
  return all;
}

TEST(AddedTokenFinder, TakesTheLeftmostAndOfThoseTheLongest) {
  const AddedTokenFinder finder(
      {{.content = "<a", .id = 1},
       {.content = "<a>", .id = 2},
       {.content = "<ab>", .id = 3},
       {.content = "b>", .id = 4},
       {.content = "\xC3\xA9", .id = 5}});
  using All = std::vector<Found>;
  EXPECT_EQ(all_of(finder, ""), All{});
  EXPECT_EQ(all_of(finder, "a<"), All{});
  EXPECT_EQ(all_of(finder, "<a>"), (All{{0, 3, 2}}));
  EXPECT_EQ(all_of(finder, "x<ab><ab"), (All{{1, 5, 3}, {5, 7, 1}}));
  EXPECT_EQ(all_of(finder, "<abb>"), (All{{0, 2, 1}, {3, 5, 4}}));
  EXPECT_EQ(all_of(finder, "\xC3\xA8\xC3\xA9"), (All{{2, 4, 5}}));
}

TEST(AddedTokenFinder, FindsATokenInTheWhiteSpaceThatTheOneBeforeTakesAlong) {
  // The ids of Hugging Face's tokenizers.
  const AddedTokenFinder finder(
      {{.content = "<c>", .id = 256, .rstrip = true},
       {.content = " quick", .id = 257},
       {.content = "  ", .id = 258}});
  using All = std::vector<Found>;
  EXPECT_EQ(all_of(finder, "<c> quick"), (All{{0, 4, 256}, {3, 9, 257}}));
  EXPECT_EQ(all_of(finder, "<c>  a"), (All{{0, 5, 256}, {3, 5, 258}}));
  EXPECT_EQ(all_of(finder, "a<c> b"), (All{{1, 5, 256}}));
  EXPECT_EQ(all_of(finder, "  <c>"), (All{{0, 2, 258}, {2, 5, 256}}));
}

TEST(AddedTokenFinder, WhiteSpaceGoesToOneTokenOnly) {
  const AddedTokenFinder finder(
      {{.content = "<l>", .id = 1, .lstrip = true}, {.content = "<r>", .id = 2, .rstrip = true}});
  using All = std::vector<Found>;
  EXPECT_EQ(all_of(finder, "a \t<l> b"), (All{{1, 6, 1}}));
  EXPECT_EQ(all_of(finder, "<r>  <l>"), (All{{0, 5, 2}, {5, 8, 1}}));
  EXPECT_EQ(all_of(finder, "<r>\u3000\n"), (All{{0, 7, 2}}));
}

TEST(AddedTokenFinder, StaysQuickWithManyTokensOfOneFirstByteAndLongWhiteSpace) {
  // Looking through all tokens at every place, or measuring the white space of every token again,
  // would take minutes here; no limit is set on the time itself.
  std::vector<AddedToken> tokens;
  for (int i = 0; i < 200000; ++i) {
    const std::string digits = std::to_string(1000000 + i);
    tokens.push_back({.content = "<" + digits.substr(1) + ">", .id = i});
  }
  EXPECT_TRUE(all_of(AddedTokenFinder(tokens), std::string(1000000, '<')).empty());
  const AddedTokenFinder spaces({{.content = " ", .id = 1, .rstrip = true}});
  EXPECT_EQ(all_of(spaces, std::string(1000000, ' ')).size(), 1000000u);
}

} // namespace
} // namespace fcc
