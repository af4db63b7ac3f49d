#include "plot/plot.h"

#include <algorithm>
#include <cmath>

#include "fcc/core/error.h"
#include "fcc/core/format_number.h"
#include "plot/png.h"
#include "plot/svg.h"

namespace fcc {
namespace {

constexpr double kCellWidth = 66, kCellHeight = 40;
constexpr double kLeft = 92, kTop = 84, kBottom = 66, kRight = 96;
constexpr double kPanelWidth = 300, kPanelGap = 34;

// Whole where it is: 199 of 200 must not read as all.
std::string percent(double value) {
  if (std::isnan(value)) {
    return "–";
  }
  const bool whole = std::abs(100 * value - std::round(100 * value)) < 1e-9;
  return format_number(100 * value, whole ? 0 : 1) + " %";
}

// Text that stands out on the colour under it: the upper half of the scale is bright.
std::string ink_on(double value) {
  return std::isnan(value) || value > 0.55 ? "#111111" : "#ffffff";
}

} // namespace

std::string heat_map_svg(const HeatMap& map) {
  const std::size_t num_columns = map.columns.size(), num_rows = map.rows.size();
  if (num_columns == 0 || num_rows == 0 || map.values.size() != num_columns * num_rows) {
    throw Error(
        "heat_map_svg",
        "rows × columns must equal the number of values and be at least 1",
        std::to_string(num_rows) + " × " + std::to_string(num_columns) + " for " +
            std::to_string(map.values.size()));
  }
  const double grid_width = kCellWidth * static_cast<double>(num_columns);
  const double grid_height = kCellHeight * static_cast<double>(num_rows);
  const double title_width =
      9.2 * static_cast<double>(std::max(map.title.size(), map.subtitle.size() * 3 / 4)) + 30;
  const double width = std::max(kLeft + grid_width + kRight, title_width);
  const double height = kTop + grid_height + kBottom;

  Svg svg;
  svg.text(width / 2, 26, map.title, {.size = 16, .bold = true});
  svg.text(width / 2, 45, map.subtitle, {.size = 12, .colour = "#555555"});
  for (std::size_t row = 0; row < num_rows; ++row) {
    const double y = kTop + kCellHeight * static_cast<double>(row);
    svg.text(kLeft - 8, y + kCellHeight / 2 + 4, map.rows[row], {.anchor = "end"});
    for (std::size_t column = 0; column < num_columns; ++column) {
      const double x = kLeft + kCellWidth * static_cast<double>(column);
      const double value = map.values[row * num_columns + column];
      svg.rect(x, y, kCellWidth, kCellHeight, hex_colour(colour_of(value)));
      svg.text(
          x + kCellWidth / 2, y + kCellHeight / 2 + 4, percent(value), {.colour = ink_on(value)});
    }
  }
  for (std::size_t column = 0; column < num_columns; ++column) {
    svg.text(
        kLeft + kCellWidth * (static_cast<double>(column) + 0.5),
        kTop + grid_height + 18,
        map.columns[column]);
  }
  svg.frame(kLeft, kTop, grid_width, grid_height);
  if (map.mark_after_columns) {
    const double x = kLeft + kCellWidth * static_cast<double>(*map.mark_after_columns);
    svg.line(x, kTop - 8, x, kTop + grid_height + 6, "#d62728", true);
    svg.text(x, kTop - 13, map.mark_label, {.size = 11, .colour = "#d62728"});
  }
  svg.text(kLeft + grid_width / 2, kTop + grid_height + 44, map.x_label, {.size = 13});
  svg.text(24, kTop + grid_height / 2, map.y_label, {.size = 13, .rotate_degrees = -90});
  svg.colour_bar(kLeft + grid_width + 22, kTop, grid_height, true);
  return svg.document(width, height, map.title);
}

std::string raster_grid_svg(const RasterGrid& grid) {
  const auto num_panels = static_cast<std::int64_t>(grid.panels.size());
  if (num_panels == 0 || grid.columns < 1) {
    throw Error("raster_grid_svg", "at least one panel and one column are needed");
  }
  const std::int64_t columns = std::min(grid.columns, num_panels);
  const std::int64_t rows = (num_panels + columns - 1) / columns;
  double panel_height = 0; // the tallest panel at the common width
  for (const RasterPanel& panel : grid.panels) {
    if (panel.width < 1 || panel.height < 1 ||
        static_cast<std::int64_t>(panel.values.size()) != panel.width * panel.height) {
      throw Error("raster_grid_svg", "width × height must equal the number of values", panel.title);
    }
    panel_height = std::max(
        panel_height,
        kPanelWidth * static_cast<double>(panel.height) / static_cast<double>(panel.width));
  }
  const double step_x = kPanelWidth + kPanelGap, step_y = panel_height + 56;
  const double width = 70 + step_x * static_cast<double>(columns) + 70;
  const double height = 60 + step_y * static_cast<double>(rows) + 10;

  Svg svg;
  svg.text(width / 2, 28, grid.title, {.size = 16, .bold = true});
  for (std::int64_t i = 0; i < num_panels; ++i) {
    const RasterPanel& panel = grid.panels[static_cast<std::size_t>(i)];
    const double x = 70 + step_x * static_cast<double>(i % columns);
    const double y = 70 + step_y * static_cast<double>(i / columns);
    std::vector<Rgb> pixels;
    pixels.reserve(panel.values.size());
    for (const double value : panel.values) {
      pixels.push_back(colour_of(value));
    }
    const double scale = kPanelWidth / static_cast<double>(panel.width);
    const double shown_height = scale * static_cast<double>(panel.height);
    svg.text(x + kPanelWidth / 2, y - 8, panel.title, {.size = 13});
    svg.image(x, y, kPanelWidth, shown_height, encode_png(pixels, panel.width, panel.height));
    svg.frame(x, y, kPanelWidth, shown_height);
    if (panel.divider) {
      const double at = x + scale * *panel.divider;
      svg.line(at, y, at, y + shown_height, "#ffffff", true);
    }
    svg.text(x, y + shown_height + 14, "0", {.size = 11});
    svg.text(
        x + kPanelWidth,
        y + shown_height + 14,
        std::to_string(panel.x_end > 0 ? panel.x_end : panel.width),
        {.size = 11});
    svg.text(x + kPanelWidth / 2, y + shown_height + 16, grid.x_label);
    svg.text(
        x - 6,
        y + shown_height,
        std::to_string(panel.y_end > 0 ? panel.y_end : panel.height),
        {.size = 11, .anchor = "end"});
    if (i % columns == 0) {
      svg.text(x - 34, y + shown_height / 2, grid.y_label, {.rotate_degrees = -90});
    }
  }
  svg.colour_bar(70 + step_x * static_cast<double>(columns) - 8, 70, panel_height, false);
  return svg.document(width, height, grid.title);
}

} // namespace fcc
