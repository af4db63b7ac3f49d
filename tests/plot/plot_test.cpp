#include "plot/plot.h"

#include <zlib.h>

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "plot/png.h"
#include "plot/svg.h"

namespace fcc {
namespace {

// A reader for the subset of XML that a picture uses: tags nest and close, attributes are quoted,
// text holds no bare `<` or `&`. Returns what is wrong, or nothing.
std::string first_flaw_of_xml(const std::string& text) {
  std::vector<std::string> open;
  std::size_t i = text.rfind("<?xml", 0) == 0 ? text.find("?>") + 2 : 0;
  int roots = 0;
  while (i < text.size()) {
    if (text[i] == '&') {
      const std::size_t end = text.find(';', i);
      const std::string name = text.substr(i, end - i + 1);
      if (name != "&amp;" && name != "&lt;" && name != "&gt;" && name != "&quot;") {
        return "entity " + name;
      }
      i = end + 1;
      continue;
    }
    if (text[i] != '<') {
      ++i;
      continue;
    }
    std::size_t end = i;
    for (bool in_quotes = false; end < text.size() && (in_quotes || text[end] != '>'); ++end) {
      in_quotes ^= text[end] == '"';
      if (end > i && text[end] == '<') {
        return "`<` inside a tag";
      }
    }
    if (end == text.size()) {
      return "tag without an end";
    }
    const std::string tag = text.substr(i + 1, end - i - 1);
    const std::string name =
        tag.substr(tag[0] == '/', tag.find_first_of(" /", 1) - (tag[0] == '/'));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) {
        return "</" + tag + "> closes nothing";
      }
      open.pop_back();
    } else if (tag.back() != '/') {
      roots += open.empty();
      open.push_back(name);
    }
    i = end + 1;
  }
  return open.empty() && roots == 1 ? "" : "tags left open";
}

std::size_t count(const std::string& text, const std::string& piece) {
  std::size_t found = 0;
  for (std::size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) {
    ++found;
  }
  return found;
}

HeatMap small_map() {
  return {
      .title = "Passkey \"<recall>\" & more",
      .subtitle = "a model",
      .x_label = "length (segments)",
      .y_label = "depth",
      .columns = {"2", "4", "8"},
      .rows = {"0 %", "100 %"},
      .values = {1.0, 0.95, std::nan(""), 0.5, 0.0, 0.333},
      .mark_after_columns = 2,
      .mark_label = "trained: 4"};
}

TEST(HeatMap, IsWellFormedAndShowsEveryCell) {
  const std::string svg = heat_map_svg(small_map());
  EXPECT_EQ(first_flaw_of_xml(svg), "");
  for (const char* shown : {">100 %<", ">95 %<", ">–<", ">50 %<", ">0 %<", ">33.3 %<", ">depth<"}) {
    EXPECT_NE(svg.find(shown), std::string::npos) << shown;
  }
  EXPECT_EQ(count(svg, "stroke-dasharray"), 1u);
  EXPECT_NE(svg.find("trained: 4"), std::string::npos);
  EXPECT_NE(svg.find("&quot;&lt;recall&gt;&quot; &amp; more"), std::string::npos);
}

TEST(HeatMap, HasNoMarkWhereNoneIsAsked) {
  HeatMap map = small_map();
  map.mark_after_columns.reset();
  EXPECT_EQ(count(heat_map_svg(map), "stroke-dasharray"), 0u);
}

TEST(HeatMap, RefusesSizesThatDisagree) {
  HeatMap map = small_map();
  map.values.pop_back();
  EXPECT_THROW(heat_map_svg(map), Error);
  EXPECT_THROW(heat_map_svg({}), Error);
}

TEST(RasterGrid, EmbedsOnePngAPanel) {
  RasterGrid grid;
  grid.title = "Attention";
  grid.columns = 2;
  for (int i = 0; i < 3; ++i) {
    grid.panels.push_back(
        {.title = "layer " + std::to_string(i),
         .width = 7,
         .height = 3,
         .values = std::vector<double>(21, 0.1 * i),
         .divider = 4.0});
  }
  const std::string svg = raster_grid_svg(grid);
  EXPECT_EQ(first_flaw_of_xml(svg), "");
  EXPECT_EQ(count(svg, "data:image/png;base64,"), 3u);
  grid.panels[1].height = 4;
  EXPECT_THROW(raster_grid_svg(grid), Error);
}

TEST(Colour, RunsFromPurpleToYellowAndGreyForNothing) {
  EXPECT_EQ(hex_colour(colour_of(0)), "#440154");
  EXPECT_EQ(hex_colour(colour_of(1)), "#fde725");
  EXPECT_EQ(hex_colour(colour_of(-3)), hex_colour(colour_of(0)));
  EXPECT_EQ(hex_colour(colour_of(9)), hex_colour(colour_of(1)));
  EXPECT_EQ(hex_colour(colour_of(std::nan(""))), "#a0a0a0");
}

TEST(Base64, AgreesWithTheExamplesOfTheStandard) { // RFC 4648, section 10
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foob"), "Zm9vYg==");
  EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

std::uint32_t u32_at(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value << 8 | static_cast<std::uint8_t>(bytes.at(at + i));
  }
  return value;
}

TEST(Png, HoldsThePixelsBehindValidChecksums) {
  const std::vector<Rgb> pixels{
      {1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {255, 0, 128}, {9, 9, 9}, {0, 0, 0}};
  const std::string png = encode_png(pixels, 3, 2);
  ASSERT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1A\n");
  std::string raw(20, '\0');
  std::vector<std::string> types;
  for (std::size_t at = 8; at < png.size();) {
    const std::size_t length = u32_at(png, at);
    const std::string body = png.substr(at + 4, length + 4);
    const auto* bytes = reinterpret_cast<const Bytef*>(body.data());
    EXPECT_EQ(u32_at(png, at + 8 + length), crc32(0, bytes, static_cast<uInt>(body.size())));
    types.push_back(body.substr(0, 4));
    if (types.back() == "IHDR") {
      EXPECT_EQ(u32_at(png, at + 8), 3u);
      EXPECT_EQ(u32_at(png, at + 12), 2u);
    } else if (types.back() == "IDAT") {
      uLongf size = raw.size();
      ASSERT_EQ(uncompress(reinterpret_cast<Bytef*>(raw.data()), &size, bytes + 4, length), Z_OK);
      EXPECT_EQ(size, 20u);
    }
    at += 12 + length;
  }
  EXPECT_EQ(types, (std::vector<std::string>{"IHDR", "IDAT", "IEND"}));
  const char expected[20] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, '\xFF', 0, '\x80', 9, 9, 9, 0, 0, 0};
  EXPECT_EQ(std::memcmp(raw.data(), expected, sizeof expected), 0);
  EXPECT_THROW(encode_png(pixels, 4, 2), Error);
  EXPECT_THROW(encode_png({}, 0, 0), Error);
}

LineChart doubling_chart() {
  LineChart chart;
  chart.title = "Memory & speed";
  chart.source = "a CPU <test>";
  chart.x_label = "tokens";
  chart.y_label = "GiB";
  chart.series.push_back(
      {.name = "steep",
       .x = {512, 1024, 2048, 4096},
       .y = {1, 2, 4, 8},
       .end_note = "out of memory"});
  chart.series.push_back(
      {.name = "flat", .x = {512, 1024, 2048, 4096, 8192}, .y = {2, 3, 3, 3, 3}, .colour = 1});
  return chart;
}

TEST(LineChart, IsXmlWithAxesLegendAndNotes) {
  LineChart chart = doubling_chart();
  chart.marks.push_back({.x = 1500, .y = 3, .label = "cross at 1,500"});
  const std::string svg = line_chart_svg(chart);
  EXPECT_EQ(first_flaw_of_xml(svg), "");
  for (const char* text :
       {">512<",
        ">1K<",
        ">8K<",
        ">tokens<",
        ">GiB<",
        ">steep<",
        ">flat<",
        ">out of memory<",
        ">cross at 1,500<",
        ">Memory &amp; speed<",
        ">a CPU &lt;test&gt;<"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
}

TEST(LineChart, LabelsRatesInThousands) {
  LineChart chart = doubling_chart();
  chart.y_tick_base = 1000;
  chart.series = {{.name = "rate", .x = {512, 1024}, .y = {900, 33000}}};
  const std::string svg = line_chart_svg(chart);
  EXPECT_NE(svg.find(">32k<"), std::string::npos);
  EXPECT_NE(svg.find(">0.5k<"), std::string::npos);
}

TEST(LineChart, ASinglePointIsAChart) {
  LineChart chart = doubling_chart();
  chart.series = {{.name = "one", .x = {512}, .y = {1}}};
  EXPECT_EQ(first_flaw_of_xml(line_chart_svg(chart)), "");
}

TEST(LineChart, RefusesWhatHasNoPlaceOnItsAxes) {
  LineChart chart = doubling_chart();
  chart.series[0].y[1] = 0;
  EXPECT_THROW(line_chart_svg(chart), Error);
  chart = doubling_chart();
  chart.series[0].x.pop_back();
  EXPECT_THROW(line_chart_svg(chart), Error);
  chart.series.clear();
  EXPECT_THROW(line_chart_svg(chart), Error);
}

TEST(LineChart, LinesCrossWhereTheyAreEqualInLog2) {
  const LineSeries rising{.name = "a", .x = {1, 4}, .y = {1, 4}};
  const LineSeries level{.name = "b", .x = {1, 4}, .y = {2, 2}};
  const auto crossing = crossing_of(rising, level);
  ASSERT_TRUE(crossing);
  EXPECT_NEAR(crossing->x, 2, 1e-12);
  EXPECT_NEAR(crossing->y, 2, 1e-12);
  EXPECT_FALSE(crossing_of(rising, {.name = "c", .x = {1, 4}, .y = {8, 8}}));
  EXPECT_FALSE(crossing_of(rising, {.name = "d", .x = {2, 8}, .y = {1, 9}})); // no common x
  const auto at_a_point = crossing_of(
      {.name = "e", .x = {1, 2, 3}, .y = {1, 2, 4}}, {.name = "f", .x = {1, 2, 3}, .y = {2, 2, 2}});
  ASSERT_TRUE(at_a_point);
  EXPECT_NEAR(at_a_point->x, 2, 1e-12);
}

} // namespace
} // namespace fcc
