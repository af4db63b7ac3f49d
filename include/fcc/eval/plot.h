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

} // namespace fcc
