#include "fcc/eval/capacity_report.h"
#include "eval/pictures.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace fcc {
namespace {

const std::vector<CapacityRow> kRows{
    {1,
     {{.length_tokens = 64, .trials = 20, .correct = 20},
      {.length_tokens = 640, .trials = 20, .correct = 10}}},
    {16, {{.length_tokens = 64, .trials = 20, .correct = 15}}}};

TEST(CapacityReport, TellsHowManyPairsAreKnownByDistance) {
  EXPECT_EQ(pairs_known(kRows[1], kRows[1].cells[0]), 12.0);
  const Table table = capacity_table(kRows, {.model = "m", .segment_length = 64});
  EXPECT_EQ(
      table.header,
      (std::vector<std::string>{"segments between", "1 pair", "16 pairs", "most known"}));
  EXPECT_EQ(table.rows[0], (std::vector<std::string>{"1", "100.0 %", "75.0 %", "12.0"}));
  EXPECT_EQ(table.rows[1], (std::vector<std::string>{"10", "50.0 %", "", "0.5"}));
  EXPECT_EQ(capacity_table(kRows, {.model = "m", .segment_length = 60}).rows[1][0], "640")
      << "in tokens";
}

TEST(CapacityReport, MapHasARowANumberOfPairsAndAColumnADistance) {
  const HeatMap map = capacity_heat_map(kRows, {.model = "m", .segment_length = 64});
  EXPECT_EQ(map.rows, (std::vector<std::string>{"1", "16"}));
  EXPECT_EQ(map.columns, (std::vector<std::string>{"1", "10"}));
  EXPECT_EQ(map.values[2], 0.75);
  EXPECT_TRUE(std::isnan(map.values[3])) << "not measured";
  EXPECT_NE(heat_map_svg(map).find("pairs told"), std::string::npos);
}

TEST(CapacityReport, JsonHoldsEveryCell) {
  const auto json =
      nlohmann::json::parse(capacity_json(kRows, {}, {.model = "m", .segment_length = 64}));
  ASSERT_EQ(json.at("cells").size(), 3u);
  EXPECT_EQ(json.at("cells")[2].at("pairs"), 16);
  EXPECT_EQ(json.at("cells")[2].at("pairs_known"), 12.0);
}

} // namespace
} // namespace fcc
