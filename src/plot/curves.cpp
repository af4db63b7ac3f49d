#include "plot/curves.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "fcc/core/error.h"
#include "plot/svg.h"

namespace fcc {
namespace {

constexpr double kMargin = 20, kHead = 76, kWidth = 420, kHeight = 230, kGap = 24;
// Of a chart: beside its axes.
constexpr double kLeft = 52, kRight = 10, kTop = 26, kBottom = 34;
constexpr int kTicks = 4;
constexpr const char* kGrid = "#d9dde1";

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  double share(double value) const {
    return high > low ? (value - low) / (high - low) : 0.5;
  }
};

bool is_point(const Curve& curve, std::size_t i) {
  return std::isfinite(curve.x[i]) && std::isfinite(curve.y[i]);
}

/// Round numbers in the range, about `kTicks` of them.
std::vector<double> ticks(const Range& range) {
  const double raw = (range.high - range.low) / kTicks;
  if (!(raw > 0)) {
    return {range.low};
  }
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double step = raw <= 2 * power ? (raw <= power ? power : 2 * power)
                                       : (raw <= 5 * power ? 5 * power : 10 * power);
  std::vector<double> found;
  for (double i = std::ceil(range.low / step); i * step <= range.high + step * 1e-9; ++i) {
    found.push_back(i * step);
  }
  return found;
}

/// "0.0003", "1.5", "20k", "3M".
std::string tick_label(double value) {
  std::string unit;
  for (const auto& [size, name] : {std::pair{1e9, "G"}, {1e6, "M"}, {1e3, "k"}}) {
    if (std::abs(value) >= size) {
      value /= size;
      unit = name;
      break;
    }
  }
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.4g", value);
  return buffer.data() + unit;
}

void draw(Svg& svg, const CurveChart& chart, double left, double top) {
  Range x, y;
  for (const Curve& curve : chart.curves) {
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (is_point(curve, i)) {
        x.take(curve.x[i]);
        y.take(curve.y[i]);
      }
    }
  }
  if (y.low == y.high) { // a flat line lies in the middle
    const double room = y.low == 0 ? 1 : std::abs(y.low) * 0.1;
    y = {y.low - (y.low == 0 ? 0 : room), y.high + room};
  }
  const double width = kWidth - kLeft - kRight, height = kHeight - kTop - kBottom;
  const auto to_x = [&](double value) { return left + kLeft + width * x.share(value); };
  const auto to_y = [&](double value) { return top + kTop + height * (1 - y.share(value)); };
  svg.text(left + kLeft, top + 14, chart.title, {.size = 14, .anchor = "start", .bold = true});
  for (const double tick : ticks(y)) {
    svg.polyline({{left + kLeft, to_y(tick)}, {left + kWidth - kRight, to_y(tick)}}, kGrid, 1);
    svg.text(left + kLeft - 6, to_y(tick) + 4, tick_label(tick), {.size = 11, .anchor = "end"});
  }
  for (const double tick : ticks(x)) {
    svg.text(to_x(tick), top + kHeight - kBottom + 16, tick_label(tick), {.size = 11});
  }
  for (const Curve& curve : chart.curves) {
    std::vector<std::pair<double, double>> points;
    for (std::size_t i = 0; i <= curve.x.size(); ++i) {
      if (i < curve.x.size() && is_point(curve, i)) {
        points.emplace_back(to_x(curve.x[i]), to_y(curve.y[i]));
      } else {
        svg.polyline(std::exchange(points, {}), series_colour(curve.colour), 1.5);
      }
    }
  }
}

bool has_point(const CurveChart& chart) {
  for (const Curve& curve : chart.curves) {
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (is_point(curve, i)) {
        return true;
      }
    }
  }
  return false;
}

} // namespace

std::string curve_grid_svg(const CurveGrid& grid) {
  std::vector<const CurveChart*> charts;
  for (const CurveChart& chart : grid.charts) {
    for (const Curve& curve : chart.curves) {
      if (curve.x.size() != curve.y.size()) {
        throw Error(chart.title, "must have as many x as y", std::to_string(curve.x.size()));
      }
      if (curve.colour >= grid.legend.size()) {
        throw Error(chart.title, "must name every colour", std::to_string(curve.colour));
      }
    }
    if (has_point(chart)) {
      charts.push_back(&chart);
    }
  }
  if (charts.empty()) {
    throw Error(grid.title, "must have a point to draw", "none");
  }
  Svg svg;
  svg.text(kMargin, 30, grid.title, {.size = 18, .anchor = "start", .bold = true});
  double at = kMargin;
  for (std::size_t i = 0; i < grid.legend.size(); ++i) {
    svg.circle(at + 5, 50, 5, series_colour(i), series_colour(i));
    svg.text(at + 15, 54, grid.legend[i], {.size = 12, .anchor = "start"});
    at += 35 + 6.5 * static_cast<double>(grid.legend[i].size());
  }
  const std::size_t columns = std::min<std::size_t>(2, charts.size());
  for (std::size_t i = 0; i < charts.size(); ++i) {
    const double left = kMargin + static_cast<double>(i % columns) * (kWidth + kGap);
    const double top = kHead + static_cast<double>(i / columns) * (kHeight + kGap);
    draw(svg, *charts[i], left, top);
    svg.text(left + kLeft + (kWidth - kLeft - kRight) / 2, top + kHeight, grid.x_label, {});
  }
  const std::size_t rows = (charts.size() + columns - 1) / columns;
  const double charts_width = static_cast<double>(columns) * (kWidth + kGap) - kGap + 2 * kMargin;
  return svg.document(
      std::max(charts_width, at),
      kHead + static_cast<double>(rows) * (kHeight + kGap) - kGap + kMargin,
      grid.title);
}

} // namespace fcc
