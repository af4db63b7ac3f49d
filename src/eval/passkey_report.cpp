#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "eval/pictures.h"

#include "fcc/eval/passkey_sweep.h"

namespace fcc {
namespace {

using nlohmann::json;

std::vector<std::int64_t> lengths_of(const std::vector<PasskeyCell>& cells) {
  std::set<std::int64_t> lengths;
  for (const PasskeyCell& cell : cells) {
    lengths.insert(cell.length_tokens);
  }
  return {lengths.begin(), lengths.end()};
}

std::vector<double> depths_of(const std::vector<PasskeyCell>& cells) {
  std::set<double> depths;
  for (const PasskeyCell& cell : cells) {
    depths.insert(cell.depth);
  }
  return {depths.begin(), depths.end()};
}

double accuracy_at(const std::vector<PasskeyCell>& cells, std::int64_t length, double depth) {
  for (const PasskeyCell& cell : cells) {
    if (cell.length_tokens == length && cell.depth == depth) {
      return cell.accuracy();
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

bool in_segments(const std::vector<PasskeyCell>& cells, const PasskeyReportOptions& options) {
  return options.segment_length > 0 &&
         std::all_of(cells.begin(), cells.end(), [&](const PasskeyCell& cell) {
           return cell.length_tokens % options.segment_length == 0;
         });
}

std::string percent(double share, int decimals) {
  return format_number(100 * share, decimals) + " %";
}

// "50 %", but "33.3 %" where a whole number would be another depth.
std::string depth_label(double depth) {
  return percent(depth, std::abs(100 * depth - std::round(100 * depth)) < 1e-9 ? 0 : 1);
}

struct Counts {
  std::int64_t trials = 0, correct = 0;
};

Counts counts_at(const std::vector<PasskeyCell>& cells, std::int64_t length) {
  Counts counts;
  for (const PasskeyCell& cell : cells) {
    counts.trials += cell.length_tokens == length ? cell.trials : 0;
    counts.correct += cell.length_tokens == length ? cell.correct : 0;
  }
  return counts;
}

std::string interval_text(const Counts& counts) {
  const Interval interval = wilson_interval(counts.correct, counts.trials);
  return format_number(100 * interval.low, 1) + "-" + percent(interval.high, 1);
}

} // namespace

Interval wilson_interval(std::int64_t correct, std::int64_t trials) {
  if (trials < 1) {
    return {};
  }
  constexpr double kZ = 1.959963984540054; // of 95 %
  const auto n = static_cast<double>(trials);
  const double share = static_cast<double>(correct) / n, z2 = kZ * kZ / n;
  const double centre = share + z2 / 2;
  const double width = kZ * std::sqrt(share * (1 - share) / n + z2 / (4 * n));
  // Rounding must not leave a share of 0 or 1 outside of its interval.
  return {
      correct == 0 ? 0.0 : (centre - width) / (1 + z2),
      correct == trials ? 1.0 : (centre + width) / (1 + z2)};
}

Table passkey_table(const std::vector<PasskeyCell>& cells, const PasskeyReportOptions& options) {
  const bool segments = in_segments(cells, options);
  const std::vector<double> depths = depths_of(cells);
  Table table;
  if (segments) {
    table.header.push_back("segments");
  }
  table.header.push_back("tokens");
  for (const double depth : depths) {
    table.header.push_back("depth " + depth_label(depth));
  }
  table.header.push_back("mean");
  table.header.push_back("95 % interval");
  for (const std::int64_t length : lengths_of(cells)) {
    std::vector<std::string> row;
    if (segments) {
      row.push_back(std::to_string(length / options.segment_length));
    }
    row.push_back(std::to_string(length));
    double sum = 0;
    for (const double depth : depths) {
      const double accuracy = accuracy_at(cells, length, depth);
      sum += accuracy;
      row.push_back(percent(accuracy, 1));
    }
    row.push_back(percent(sum / static_cast<double>(depths.size()), 1));
    row.push_back(interval_text(counts_at(cells, length)));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table passkey_cell_table(
    const std::vector<PasskeyCell>& cells,
    const PasskeyReportOptions& options) {
  Table table{
      {"length_tokens",
       "length_segments",
       "depth",
       "trials",
       "correct",
       "accuracy",
       "seconds",
       "low",
       "high"},
      {}};
  for (const PasskeyCell& cell : cells) {
    const Interval interval = wilson_interval(cell.correct, cell.trials);
    table.rows.push_back(
        {std::to_string(cell.length_tokens),
         options.segment_length > 0 ? format_number(
                                          static_cast<double>(cell.length_tokens) /
                                              static_cast<double>(options.segment_length),
                                          cell.length_tokens % options.segment_length == 0 ? 0 : 3)
                                    : "",
         format_number(cell.depth, 4),
         std::to_string(cell.trials),
         std::to_string(cell.correct),
         format_number(cell.accuracy(), 6),
         format_number(cell.seconds, 3),
         format_number(interval.low, 6),
         format_number(interval.high, 6)});
  }
  return table;
}

std::string passkey_json(
    const std::vector<PasskeyCell>& cells,
    const PasskeySweepOptions& sweep,
    const PasskeyReportOptions& options) {
  json settings = {{"trials", sweep.trials}, {"seed", sweep.seed}};
  for (const auto& [key, value] : sweep.identity) {
    settings[key] = value;
  }
  json report = {
      {"model", options.model},
      {"task", options.task},
      {"segment_length", options.segment_length},
      {"settings", settings},
      {"cells", json::array()},
      {"mean_by_length", json::array()}};
  if (options.trained_length_tokens) {
    report["trained_length_tokens"] = *options.trained_length_tokens;
  }
  for (const PasskeyCell& cell : cells) {
    const Interval interval = wilson_interval(cell.correct, cell.trials);
    report["cells"].push_back(
        {{"length_tokens", cell.length_tokens},
         {"depth", cell.depth},
         {"trials", cell.trials},
         {"correct", cell.correct},
         {"accuracy", cell.accuracy()},
         {"interval", {interval.low, interval.high}},
         {"seconds", cell.seconds}});
  }
  for (const std::int64_t length : lengths_of(cells)) {
    const Counts counts = counts_at(cells, length);
    const Interval interval = wilson_interval(counts.correct, counts.trials);
    report["mean_by_length"].push_back(
        {{"length_tokens", length},
         {"accuracy", static_cast<double>(counts.correct) / static_cast<double>(counts.trials)},
         {"interval", {interval.low, interval.high}}});
  }
  return report.dump(2) + "\n";
}

HeatMap passkey_heat_map(
    const std::vector<PasskeyCell>& cells,
    const PasskeyReportOptions& options) {
  const bool segments = in_segments(cells, options);
  const std::vector<std::int64_t> lengths = lengths_of(cells);
  const std::vector<double> depths = depths_of(cells);
  const std::int64_t unit = segments ? options.segment_length : 1;
  HeatMap map;
  map.title = (options.task == "passkey" ? "Passkey recall" : "Recall, " + options.task + ",") +
              std::string(" by length and depth");
  map.subtitle = options.model;
  if (!cells.empty()) {
    map.subtitle += (map.subtitle.empty() ? "" : ", ") + std::to_string(cells.front().trials) +
                    " answers a cell, exact match";
  }
  map.x_label = segments
                    ? "length (segments of " + std::to_string(options.segment_length) + " tokens)"
                    : "length (tokens)";
  map.y_label = options.task == "passkey" ? "depth of the passkey" : "depth of the first needle";
  for (const std::int64_t length : lengths) {
    map.columns.push_back(std::to_string(length / unit));
  }
  for (const double depth : depths) {
    map.rows.push_back(depth_label(depth));
    for (const std::int64_t length : lengths) {
      map.values.push_back(accuracy_at(cells, length, depth));
    }
  }
  if (options.trained_length_tokens) {
    map.mark_after_columns = static_cast<std::size_t>(
        std::upper_bound(lengths.begin(), lengths.end(), *options.trained_length_tokens) -
        lengths.begin());
    map.mark_label = "trained through " + format_number(
                                              static_cast<double>(*options.trained_length_tokens) /
                                                  static_cast<double>(unit),
                                              *options.trained_length_tokens % unit == 0 ? 0 : 1);
  }
  return map;
}

} // namespace fcc
