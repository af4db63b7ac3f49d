#include "plot/curves.h"

#include <limits>

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

CurveGrid grid_of(Curve curve) {
  return {"Runs", "steps", {"one"}, {{"Loss", {std::move(curve)}}, {"Nothing", {}}}};
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

constexpr const char* kInk = "stroke=\"#0b5fa5\"";

TEST(Curves, RiseFromLeftToRightOverRoundTicks) {
  const std::string svg = curve_grid_svg(grid_of({{0, 1000, 2000}, {1, 2, 3}}));
  // Equal steps to the right and upwards: y falls in pictures.
  EXPECT_NE(svg.find("points=\"72,272 251,187 430,102\""), std::string::npos) << svg;
  for (const char* label : {">1<", ">1.5<", ">3<", ">500<", ">1k<", ">2k<", ">steps<", ">one<"}) {
    EXPECT_NE(svg.find(label), std::string::npos) << label;
  }
  EXPECT_EQ(svg.find("Nothing"), std::string::npos) << "a chart without a point";
}

TEST(Curves, BreakWhereAValueIsNotFinite) {
  const std::string svg = curve_grid_svg(grid_of({{1, 2, 3, 4, 5, 6}, {1, 2, kNan, 4, 5, kNan}}));
  EXPECT_EQ(count(svg, "<polyline points=\"") - count(svg, "stroke=\"#d9dde1\""), 2U) << svg;
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Curves, OfOneValueLieInTheMiddle) {
  const std::string svg = curve_grid_svg(grid_of({{1, 2}, {5, 5}}));
  EXPECT_NE(svg.find("points=\"72,187 430,187\""), std::string::npos) << svg;
  const std::string point = curve_grid_svg(grid_of({{7}, {0}}));
  EXPECT_GE(count(point, kInk), 2U) << point; // in the legend and in the chart
}

TEST(Curves, ThatCannotBeDrawnAreRefused) {
  EXPECT_THROW(curve_grid_svg(grid_of({{1, 2}, {1}})), Error);
  EXPECT_THROW(curve_grid_svg(grid_of({{1}, {1}, 1})), Error) << "a colour without a name";
  EXPECT_THROW(curve_grid_svg(grid_of({{1}, {kNan}})), Error);
}

} // namespace
} // namespace fcc
