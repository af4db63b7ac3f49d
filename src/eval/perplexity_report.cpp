#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "fcc/eval/perplexity.h"

namespace fcc {
namespace {

using nlohmann::json;

json to_json(const SegmentLoss& loss) {
  return {
      {"nll", loss.nll()}, {"perplexity", loss.perplexity()}, {"num_targets", loss.num_targets}};
}

json to_json(const SegmentLosses& losses) {
  json segments = json::array();
  for (const SegmentLoss& loss : losses.segments) {
    segments.push_back(to_json(loss));
  }
  return {
      {"num_sequences", losses.num_sequences},
      {"total", to_json(losses.total())},
      {"segments", segments}};
}

SegmentLoss loss_at(const SegmentLosses& losses, std::size_t row) {
  return row < losses.segments.size() ? losses.segments[row] : losses.total();
}

} // namespace

double SegmentLoss::nll() const {
  return num_targets == 0 ? std::numeric_limits<double>::quiet_NaN()
                          : loss_sum / static_cast<double>(num_targets);
}

double SegmentLoss::perplexity() const {
  return std::exp(nll());
}

SegmentLoss SegmentLosses::total() const {
  SegmentLoss all;
  for (const SegmentLoss& segment : segments) {
    all.loss_sum += segment.loss_sum;
    all.num_targets += segment.num_targets;
  }
  return all;
}

Table perplexity_table(const PerplexityReport& report, bool csv) {
  const SegmentLosses& any = report.with_memory ? *report.with_memory : *report.cut;
  Table table;
  table.header = {"segment", csv ? "num_targets" : "targets"};
  if (report.with_memory) {
    table.header.push_back("nll");
    table.header.push_back(csv ? "perplexity" : "ppl");
  }
  if (report.cut) {
    table.header.push_back(csv ? "nll_cut" : "nll, memory cut");
    table.header.push_back(csv ? "perplexity_cut" : "ppl, memory cut");
  }
  if (report.with_memory && report.cut) {
    table.header.push_back(csv ? "nll_gain" : "gain");
  }
  const auto add = [&](const SegmentLoss& loss, std::vector<std::string>& row) {
    row.push_back(format_number(loss.nll(), csv ? 9 : 4));
    row.push_back(format_number(loss.perplexity(), csv ? 9 : 3));
  };
  for (std::size_t row = 0; row <= any.segments.size(); ++row) { // the last row is the total
    std::vector<std::string> cells{
        row < any.segments.size() ? std::to_string(row) : "all",
        std::to_string(loss_at(any, row).num_targets)};
    if (report.with_memory) {
      add(loss_at(*report.with_memory, row), cells);
    }
    if (report.cut) {
      add(loss_at(*report.cut, row), cells);
    }
    if (report.with_memory && report.cut) {
      const double gain = loss_at(*report.cut, row).nll() - loss_at(*report.with_memory, row).nll();
      cells.push_back(format_number(gain, csv ? 9 : 4));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string perplexity_json(
    const PerplexityReport& report,
    const std::string& model,
    std::int64_t segment_length) {
  json out = {{"model", model}, {"segment_length", segment_length}};
  if (report.with_memory) {
    out["with_memory"] = to_json(*report.with_memory);
  }
  if (report.cut) {
    out["memory_cut"] = to_json(*report.cut);
  }
  return out.dump(2) + "\n";
}

} // namespace fcc
