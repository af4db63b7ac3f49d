#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fcc {

/// A line over linear axes.
struct Curve {
  std::vector<double> x{}, y{}; ///< equally many; the line breaks where one is not finite
  std::size_t colour = 0;       ///< index into the legend
};

/// Curves over one pair of axes.
struct CurveChart {
  std::string title;
  std::vector<Curve> curves;
};

/// Charts two abreast over one kind of x, under a legend.
struct CurveGrid {
  std::string title;
  std::string x_label;
  std::vector<std::string> legend; ///< what colours 0, 1, … stand for
  std::vector<CurveChart> charts;
};

/// A whole SVG document; charts without a finite point are left out. Errors: `Error` if a curve's
/// sizes disagree, its colour is not in the legend, or no chart is left.
std::string curve_grid_svg(const CurveGrid& grid);

} // namespace fcc
