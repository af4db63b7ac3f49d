#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plot/png.h"

namespace fcc {

/// `&`, `<`, `>` and quotes as XML entities; control characters, which XML forbids, as spaces.
std::string xml_escape(std::string_view text);

/// Colours of lines, told apart by colour-blind eyes and in grey too; they begin again after six.
const char* series_colour(std::size_t index);

/// How a piece of text stands.
struct TextStyle {
  double size = 12;                   ///< pixels
  std::string_view anchor = "middle"; ///< start, middle, end
  std::string colour = "#222222";
  bool bold = false;
  double rotate_degrees = 0;
};

/// Collects shapes and wraps them into a document; lengths are in pixels.
class Svg {
 public:
  void rect(double x, double y, double width, double height, const std::string& fill);
  void frame(double x, double y, double width, double height);
  void line(double x1, double y1, double x2, double y2, const std::string& colour, bool dashed);
  /// Lines through points (x, y); of one point a dot, of none nothing.
  void polyline(
      const std::vector<std::pair<double, double>>& points,
      const std::string& colour,
      double width);
  void
  circle(double x, double y, double radius, const std::string& fill, const std::string& stroke);
  void text(double x, double y, std::string_view content, const TextStyle& style = {});
  void image(double x, double y, double width, double height, std::string_view png);
  /// A vertical bar of `colour_of`, 1 at the top, with labels at both ends and in the middle.
  void colour_bar(double x, double y, double height, bool percent);
  std::string document(double width, double height, std::string_view title) const;

 private:
  std::string body_;
};

} // namespace fcc
