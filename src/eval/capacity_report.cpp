#include "fcc/eval/capacity_report.h"

#include <algorithm>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "eval/pictures.h"

namespace fcc {
namespace {

std::vector<std::int64_t> distances_of(const std::vector<CapacityRow>& rows) {
  std::set<std::int64_t> distances;
  for (const CapacityRow& row : rows) {
    for (const PasskeyCell& cell : row.cells) {
      distances.insert(cell.length_tokens);
    }
  }
  return {distances.begin(), distances.end()};
}

const PasskeyCell* cell_at(const CapacityRow& row, std::int64_t distance) {
  for (const PasskeyCell& cell : row.cells) {
    if (cell.length_tokens == distance) {
      return &cell;
    }
  }
  return nullptr;
}

/// Distances are told in segments where all divide.
std::int64_t unit_of(
    const std::vector<std::int64_t>& distances,
    const PasskeyReportOptions& options) {
  const bool divide = options.segment_length > 0 &&
                      std::all_of(distances.begin(), distances.end(), [&](std::int64_t distance) {
                        return distance % options.segment_length == 0;
                      });
  return divide ? options.segment_length : 1;
}

} // namespace

double pairs_known(const CapacityRow& row, const PasskeyCell& cell) {
  return static_cast<double>(row.pairs) * cell.accuracy();
}

Table capacity_table(const std::vector<CapacityRow>& rows, const PasskeyReportOptions& options) {
  const std::vector<std::int64_t> distances = distances_of(rows);
  const std::int64_t unit = unit_of(distances, options);
  Table table;
  table.header.emplace_back(unit > 1 ? "segments between" : "tokens between");
  for (const CapacityRow& row : rows) {
    table.header.push_back(std::to_string(row.pairs) + (row.pairs == 1 ? " pair" : " pairs"));
  }
  table.header.emplace_back("most known");
  for (const std::int64_t distance : distances) {
    std::vector<std::string> line{std::to_string(distance / unit)};
    double most = 0.0;
    for (const CapacityRow& row : rows) {
      const PasskeyCell* cell = cell_at(row, distance);
      line.push_back(cell != nullptr ? format_number(100 * cell->accuracy(), 1) + " %" : "");
      most = cell != nullptr ? std::max(most, pairs_known(row, *cell)) : most;
    }
    line.push_back(format_number(most, 1));
    table.rows.push_back(std::move(line));
  }
  return table;
}

std::string capacity_json(
    const std::vector<CapacityRow>& rows,
    const PasskeySweepOptions& sweep,
    const PasskeyReportOptions& options) {
  nlohmann::json settings = {{"trials", sweep.trials}, {"seed", sweep.seed}};
  for (const auto& [key, value] : sweep.identity) {
    settings[key] = value;
  }
  nlohmann::json report = {
      {"model", options.model},
      {"task", "capacity"},
      {"segment_length", options.segment_length},
      {"settings", settings},
      {"cells", nlohmann::json::array()}};
  for (const CapacityRow& row : rows) {
    for (const PasskeyCell& cell : row.cells) {
      const Interval interval = wilson_interval(cell.correct, cell.trials);
      report["cells"].push_back(
          {{"pairs", row.pairs},
           {"distance_tokens", cell.length_tokens},
           {"trials", cell.trials},
           {"correct", cell.correct},
           {"accuracy", cell.accuracy()},
           {"interval", {interval.low, interval.high}},
           {"pairs_known", pairs_known(row, cell)},
           {"seconds", cell.seconds}});
    }
  }
  return report.dump(2) + "\n";
}

HeatMap capacity_heat_map(
    const std::vector<CapacityRow>& rows,
    const PasskeyReportOptions& options) {
  const std::vector<std::int64_t> distances = distances_of(rows);
  const std::int64_t unit = unit_of(distances, options);
  HeatMap map;
  map.title = "Pairs that are still known, by distance";
  map.subtitle = options.model;
  map.x_label = unit > 1 ? "distance (segments of " + std::to_string(unit) + " tokens)"
                         : std::string("distance (tokens)");
  map.y_label = "pairs told";
  for (const std::int64_t distance : distances) {
    map.columns.push_back(std::to_string(distance / unit));
  }
  for (const CapacityRow& row : rows) {
    map.rows.push_back(std::to_string(row.pairs));
    for (const std::int64_t distance : distances) {
      const PasskeyCell* cell = cell_at(row, distance);
      map.values.push_back(
          cell != nullptr ? cell->accuracy() : std::numeric_limits<double>::quiet_NaN());
    }
  }
  return map;
}

} // namespace fcc
