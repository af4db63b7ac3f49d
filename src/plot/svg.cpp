#include "plot/svg.h"

#include <array>
#include <cstdio>

namespace fcc {
namespace {

constexpr int kBarSteps = 64;
constexpr double kBarWidth = 16;

// Two decimals are enough for a picture and keep the file small and the same everywhere.
std::string number(double value) {
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.2f", value);
  std::string text = buffer.data();
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') {
    text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

std::string attribute(std::string_view name, const std::string& value) {
  std::string text = " ";
  text.append(name).append("=\"").append(value).append("\"");
  return text;
}

std::string box(double x, double y, double width, double height) {
  return attribute("x", number(x)) + attribute("y", number(y)) + attribute("width", number(width)) +
         attribute("height", number(height));
}

} // namespace

const char* series_colour(std::size_t index) {
  // Dark, middle and light ones in turn.
  static constexpr std::array<const char*, 6> kColours{
      "#0b5fa5", "#d1491b", "#2e8b57", "#8b3fa0", "#a07d1c", "#555555"};
  return kColours[index % kColours.size()];
}

std::string xml_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

void Svg::rect(double x, double y, double width, double height, const std::string& fill) {
  body_ += "<rect" + box(x, y, width, height) + attribute("fill", fill) + "/>\n";
}

void Svg::frame(double x, double y, double width, double height) {
  body_ += "<rect" + box(x, y, width, height) +
           " fill=\"none\" stroke=\"#222222\" stroke-width=\"1\"/>\n";
}

void Svg::line(double x1, double y1, double x2, double y2, const std::string& colour, bool dashed) {
  body_ += "<line" + attribute("x1", number(x1)) + attribute("y1", number(y1)) +
           attribute("x2", number(x2)) + attribute("y2", number(y2)) + attribute("stroke", colour) +
           " stroke-width=\"2\"" + (dashed ? " stroke-dasharray=\"6 4\"" : "") + "/>\n";
}

void Svg::polyline(
    const std::vector<std::pair<double, double>>& points,
    const std::string& colour,
    double width) {
  if (points.size() == 1) {
    circle(points[0].first, points[0].second, width, colour, colour);
  } else if (points.size() > 1) {
    std::string path;
    for (const auto& [x, y] : points) {
      path.append(path.empty() ? "" : " ").append(number(x)).append(",").append(number(y));
    }
    body_ += "<polyline" + attribute("points", path) + " fill=\"none\"" +
             attribute("stroke", colour) + attribute("stroke-width", number(width)) +
             " stroke-linejoin=\"round\"/>\n";
  }
}

void Svg::circle(
    double x,
    double y,
    double radius,
    const std::string& fill,
    const std::string& stroke) {
  body_ += "<circle" + attribute("cx", number(x)) + attribute("cy", number(y)) +
           attribute("r", number(radius)) + attribute("fill", fill) + attribute("stroke", stroke) +
           " stroke-width=\"2\"/>\n";
}

void Svg::text(double x, double y, std::string_view content, const TextStyle& style) {
  body_ += "<text" + attribute("x", number(x)) + attribute("y", number(y)) +
           attribute("font-size", number(style.size)) +
           attribute("text-anchor", std::string(style.anchor)) + attribute("fill", style.colour);
  if (style.bold) {
    body_ += " font-weight=\"bold\"";
  }
  if (style.rotate_degrees != 0) {
    body_ += attribute(
        "transform",
        std::string("rotate(")
            .append(number(style.rotate_degrees))
            .append(" ")
            .append(number(x))
            .append(" ")
            .append(number(y))
            .append(")"));
  }
  body_.append(">").append(xml_escape(content)).append("</text>\n");
}

void Svg::image(double x, double y, double width, double height, std::string_view png) {
  body_ += "<image" + box(x, y, width, height) +
           " preserveAspectRatio=\"none\" href=\"data:image/png;base64," + base64(png) + "\"/>\n";
}

void Svg::colour_bar(double x, double y, double height, bool percent) {
  const double step = height / kBarSteps;
  for (int i = 0; i < kBarSteps; ++i) {
    const double value = 1 - (i + 0.5) / kBarSteps;
    rect(x, y + i * step, kBarWidth, step + 0.5, hex_colour(colour_of(value)));
  }
  frame(x, y, kBarWidth, height);
  const TextStyle style{.size = 11, .anchor = "start"};
  text(x + kBarWidth + 5, y + 9, percent ? "100 %" : "1.0", style);
  text(x + kBarWidth + 5, y + height / 2 + 4, percent ? "50 %" : "0.5", style);
  text(x + kBarWidth + 5, y + height, percent ? "0 %" : "0.0", style);
}

std::string Svg::document(double width, double height, std::string_view title) const {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"" +
         attribute("width", number(width)) + attribute("height", number(height)) +
         attribute("viewBox", "0 0 " + number(width) + " " + number(height)) +
         " font-family=\"Helvetica, Arial, sans-serif\">\n<title>" + xml_escape(title) +
         "</title>\n<rect x=\"0\" y=\"0\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" +
         body_ + "</svg>\n";
}

} // namespace fcc
