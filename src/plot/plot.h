#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fcc {

/// A table of numbers in 0..1 as coloured cells, each with its percentage.
struct HeatMap {
  std::string title;
  std::string subtitle; ///< may be empty
  std::string x_label, y_label;
  std::vector<std::string> columns, rows; ///< labels, left to right and top to bottom
  std::vector<double> values;             ///< [rows, columns]; NaN: not measured
  /// A dashed line right of this many columns (figure 8's "trained length"); absent: none.
  std::optional<std::size_t> mark_after_columns;
  std::string mark_label; ///< beside that line
};

/// A whole SVG document. Errors: `Error` if the sizes disagree or there is no cell.
std::string heat_map_svg(const HeatMap& map);

/// One picture of numbers in 0..1, one pixel each.
struct RasterPanel {
  std::string title;
  std::int64_t width = 0, height = 0; ///< pixels
  std::int64_t x_end = 0, y_end = 0;  ///< labels of the far ends of the axes; 0: width, height
  std::vector<double> values;         ///< [height, width]; NaN: grey
  std::optional<double> divider;      ///< a vertical line at this pixel (memory | current segment)
};

/// Panels side by side, `columns` in a row, with one colour scale (figure 10).
struct RasterGrid {
  std::string title;
  std::string x_label, y_label;
  std::int64_t columns = 1;
  std::vector<RasterPanel> panels;
};

/// A whole SVG document, each panel embedded as a PNG. Errors: `Error` if sizes disagree.
std::string raster_grid_svg(const RasterGrid& grid);

/// One line of a chart.
struct LineSeries {
  std::string name{};
  std::vector<double> x{}, y{}; ///< equally many, all positive, x rising
  std::string end_note{};       ///< beside the last point ("out of memory"); empty: none
  std::size_t colour = 0;       ///< lines of one colour belong together
  bool dashed = false;
};

/// A point that is pointed out, as where two lines cross.
struct ChartMark {
  double x = 0, y = 0;
  std::string label{};
  std::size_t colour = 0;
};

/// Lines over two axes that double from tick to tick (log2), with a legend (figures 5-7).
struct LineChart {
  std::string title;
  std::string source; ///< under the title: device, model, date; may be empty
  std::string x_label, y_label;
  double y_tick_base = 1; ///< ticks at base · 2^k; 1000: labels in thousands (`64k`)
  std::vector<LineSeries> series;
  std::vector<ChartMark> marks;
};

/// A whole SVG document. Errors: `Error` if sizes disagree, no point is there, or one is not above
/// 0.
std::string line_chart_svg(const LineChart& chart);

/// Where two lines over the same rising x cross, by straight lines between points in log2 of both
/// axes: the first x (and y) from which the sign of `a - b` differs from before. Points that only
/// one line has count for nothing. Nothing: they do not cross.
struct Crossing {
  double x = 0, y = 0;
};
std::optional<Crossing> crossing_of(const LineSeries& a, const LineSeries& b);

} // namespace fcc
