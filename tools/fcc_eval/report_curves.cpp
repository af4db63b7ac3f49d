#include "fcc_eval/report_curves.h"

#include <set>
#include <utility>
#include <vector>

#include "plot/curves.h"

namespace fcc::tools {
namespace {

using Json = nlohmann::ordered_json;

/// Adds the point of a line of metrics, where it has a number under `key`.
void add_point(Curve& curve, const Json& line, const Json& values, const char* key) {
  const auto found = values.find(key);
  if (found != values.end() && found->is_number()) {
    curve.x.push_back(line["step"].get<double>());
    curve.y.push_back(found->get<double>());
  }
}

CurveChart of_steps(const Json& runs, const char* title, const char* key) {
  CurveChart chart{title, {}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Curve& curve = chart.curves.emplace_back(Curve{.colour = i});
    for (const Json& step : runs[i]["steps"]) {
      add_point(curve, step, step, key);
    }
  }
  return chart;
}

/// One chart a data set, so that a colour stands for a run alone.
std::vector<CurveChart> of_validations(const Json& runs) {
  std::set<std::string> sets;
  for (const Json& run : runs) {
    for (const Json& validation : run["validations"]) {
      for (const auto& [name, values] : validation["validation"].items()) {
        sets.insert(name);
      }
    }
  }
  std::vector<CurveChart> charts;
  for (const std::string& set : sets) {
    CurveChart& chart = charts.emplace_back(CurveChart{"Validation loss: " + set, {}});
    for (std::size_t i = 0; i < runs.size(); ++i) {
      Curve& curve = chart.curves.emplace_back(Curve{.colour = i});
      for (const Json& validation : runs[i]["validations"]) {
        const Json& of_sets = validation["validation"];
        if (const auto found = of_sets.find(set); found != of_sets.end()) {
          add_point(curve, validation, *found, "mean_loss");
        }
      }
    }
  }
  return charts;
}

} // namespace

std::string report_curves(const nlohmann::ordered_json& runs) {
  CurveGrid grid{.title = "Training runs", .x_label = "steps", .legend = {}, .charts = {}};
  for (const Json& run : runs) {
    grid.legend.push_back(run["name"].get<std::string>());
  }
  grid.charts.push_back(of_steps(runs, "Loss, nats a token", "mean_loss"));
  for (CurveChart& chart : of_validations(runs)) {
    grid.charts.push_back(std::move(chart));
  }
  for (const auto& [title, key] : {
           std::pair{"Loss of the answers", "answer_loss"},
           {"Gradient norm", "grad_norm"},
           {"Learning rate", "lr"},
           {"Tokens a second", "tokens_per_second"},
       }) {
    grid.charts.push_back(of_steps(runs, title, key));
  }
  return curve_grid_svg(grid);
}

} // namespace fcc::tools
