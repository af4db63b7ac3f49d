#include <algorithm>
#include <cmath>
#include <limits>

#include "fcc/core/error.h"
#include "fcc/core/format_number.h"
#include "plot/plot.h"
#include "plot/svg.h"

namespace fcc {
namespace {

constexpr double kLeft = 84, kTop = 76, kPlotWidth = 600, kPlotHeight = 380, kBottom = 70;
constexpr double kLegendWidth = 250;
constexpr int kMostTicks = 12;

/// One axis: log2 of `base` multiples, from tick `first` to tick `last`.
struct Axis {
  double base = 1;
  int first = 0, last = 1;

  double share(double value) const { // 0 at the first tick, 1 at the last
    return (std::log2(value / base) - first) / (last - first);
  }
  int step() const {
    return (last - first) / kMostTicks + 1;
  }
};

Axis axis_over(double low, double high, double base) {
  Axis axis;
  axis.base = base;
  axis.first = static_cast<int>(std::floor(std::log2(low / base) + 1e-9));
  axis.last = static_cast<int>(std::ceil(std::log2(high / base) - 1e-9));
  axis.last = std::max(axis.last, axis.first + 1);
  return axis;
}

// "512", "64K" (1024 · 64), "1M"; with base 1000 "64k"; "0.25".
std::string tick_label(const Axis& axis, int tick) {
  const double power = std::exp2(tick);
  if (axis.base == 1000) {
    return format_number(power, tick < 0 ? std::min(-tick, 3) : 0) + "k";
  }
  if (tick < 0) {
    return format_number(power, std::min(-tick, 4));
  }
  if (tick >= 20) {
    return format_number(std::exp2(tick - 20), 0) + "M";
  }
  return tick >= 10 ? format_number(std::exp2(tick - 10), 0) + "K" : format_number(power, 0);
}

void check_chart(const LineChart& chart) {
  bool any = false;
  for (const LineSeries& line : chart.series) {
    if (line.x.size() != line.y.size()) {
      throw Error("line_chart_svg", "x and y must be equally many", line.name);
    }
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (!(line.x[i] > 0 && line.y[i] > 0 && std::isfinite(line.x[i] + line.y[i]))) {
        throw Error("line_chart_svg", "every point must lie above 0 on both axes", line.name);
      }
      any = true;
    }
  }
  if (!any) {
    throw Error("line_chart_svg", "at least one point is needed", chart.title);
  }
}

struct Frame {
  Axis x, y;

  double at_x(double value) const {
    return kLeft + kPlotWidth * x.share(value);
  }
  double at_y(double value) const {
    return kTop + kPlotHeight * (1 - y.share(value));
  }
};

Frame frame_of(const LineChart& chart) {
  const double most = std::numeric_limits<double>::max();
  double x_low = most, x_high = 0, y_low = most, y_high = 0;
  for (const LineSeries& line : chart.series) {
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      x_low = std::min(x_low, line.x[i]);
      x_high = std::max(x_high, line.x[i]);
      y_low = std::min(y_low, line.y[i]);
      y_high = std::max(y_high, line.y[i]);
    }
  }
  return {axis_over(x_low, x_high, 1), axis_over(y_low, y_high, chart.y_tick_base)};
}

void draw_axes(Svg& svg, const LineChart& chart, const Frame& frame) {
  const double right = kLeft + kPlotWidth, bottom = kTop + kPlotHeight;
  for (int tick = frame.x.first; tick <= frame.x.last; tick += frame.x.step()) {
    const double x = frame.at_x(frame.x.base * std::exp2(tick));
    svg.rect(x - 0.5, kTop, 1, kPlotHeight, "#e4e4e4");
    svg.text(x, bottom + 18, tick_label(frame.x, tick));
  }
  for (int tick = frame.y.first; tick <= frame.y.last; tick += frame.y.step()) {
    const double y = frame.at_y(frame.y.base * std::exp2(tick));
    svg.rect(kLeft, y - 0.5, kPlotWidth, 1, "#e4e4e4");
    svg.text(kLeft - 8, y + 4, tick_label(frame.y, tick), {.anchor = "end"});
  }
  svg.frame(kLeft, kTop, kPlotWidth, kPlotHeight);
  svg.text((kLeft + right) / 2, bottom + 46, chart.x_label, {.size = 13});
  svg.text(24, kTop + kPlotHeight / 2, chart.y_label, {.size = 13, .rotate_degrees = -90});
}

void draw_line(Svg& svg, const LineSeries& line, const Frame& frame) {
  const std::string ink = series_colour(line.colour);
  for (std::size_t i = 1; i < line.x.size(); ++i) {
    svg.line(
        frame.at_x(line.x[i - 1]),
        frame.at_y(line.y[i - 1]),
        frame.at_x(line.x[i]),
        frame.at_y(line.y[i]),
        ink,
        line.dashed);
  }
  for (std::size_t i = 0; i < line.x.size(); ++i) {
    svg.circle(frame.at_x(line.x[i]), frame.at_y(line.y[i]), 3.5, ink, ink);
  }
  if (!line.end_note.empty() && !line.x.empty()) {
    // To the left of the last point where the frame's edge is near.
    const double x = frame.at_x(line.x.back()), y = frame.at_y(line.y.back());
    const bool near_edge = x > kLeft + 0.7 * kPlotWidth;
    svg.text(
        near_edge ? x - 9 : x + 9,
        std::max(y - 8, kTop + 14),
        line.end_note,
        {.size = 11, .anchor = near_edge ? "end" : "start", .colour = ink});
  }
}

void draw_legend(Svg& svg, const LineChart& chart) {
  const double x = kLeft + kPlotWidth + 20;
  double y = kTop + 14;
  for (const LineSeries& line : chart.series) {
    const std::string ink = series_colour(line.colour);
    svg.line(x, y - 4, x + 34, y - 4, ink, line.dashed);
    svg.circle(x + 17, y - 4, 3.5, ink, ink);
    svg.text(x + 42, y, line.name, {.anchor = "start"});
    y += 22;
  }
  y += 6;
  for (const ChartMark& mark : chart.marks) {
    svg.circle(x + 17, y - 4, 6, "none", series_colour(mark.colour));
    svg.text(x + 42, y, mark.label, {.anchor = "start"});
    y += 22;
  }
}

} // namespace

std::string line_chart_svg(const LineChart& chart) {
  check_chart(chart);
  const Frame frame = frame_of(chart);
  const double width = kLeft + kPlotWidth + kLegendWidth;
  Svg svg;
  svg.text(kLeft, 28, chart.title, {.size = 16, .anchor = "start", .bold = true});
  svg.text(kLeft, 50, chart.source, {.size = 12, .anchor = "start", .colour = "#555555"});
  draw_axes(svg, chart, frame);
  for (const LineSeries& line : chart.series) {
    draw_line(svg, line, frame);
  }
  for (const ChartMark& mark : chart.marks) {
    svg.circle(frame.at_x(mark.x), frame.at_y(mark.y), 7, "none", series_colour(mark.colour));
  }
  draw_legend(svg, chart);
  return svg.document(width, kTop + kPlotHeight + kBottom, chart.title);
}

std::optional<Crossing> crossing_of(const LineSeries& a, const LineSeries& b) {
  struct Point {
    double x, difference, y; // log2, the last two of a - b and of a
  };
  std::vector<Point> common;
  for (std::size_t i = 0, j = 0; i < a.x.size() && j < b.x.size();) {
    if (a.x[i] == b.x[j]) {
      common.push_back(
          {std::log2(a.x[i]), std::log2(a.y[i]) - std::log2(b.y[j]), std::log2(a.y[i])});
      ++i;
      ++j;
    } else {
      ++(a.x[i] < b.x[j] ? i : j);
    }
  }
  for (std::size_t i = 1; i < common.size(); ++i) {
    const Point &before = common[i - 1], &after = common[i];
    if (before.difference * after.difference < 0 ||
        (after.difference == 0 && before.difference != 0)) {
      const double share = before.difference / (before.difference - after.difference);
      return Crossing{
          std::exp2(before.x + share * (after.x - before.x)),
          std::exp2(before.y + share * (after.y - before.y))};
    }
  }
  return std::nullopt;
}

} // namespace fcc
