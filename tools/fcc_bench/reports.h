#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "fcc/eval/report.h"
#include "fcc_bench/device.h"

namespace fcc::tools {

/// Writes a report and tells its path on standard error; makes the folder. Empty path: nothing.
void write_report(const std::string& path, const std::string& content);

/// A rate with about four digits: two places under 100, four under 1.
std::string format_rate(double value);

/// Device, versions and measured rates: what a JSON report begins with.
nlohmann::json rates_json(const DeviceRates& rates);

/// "H100: a product of 8192³ runs at 790 TFLOP/s, a copy at 3000 GB/s".
std::string rates_text(const DeviceRates& rates);

/// Prints a table row by row, so that long measurements show as they come: widths are fixed by the
/// header and `widths`.
class TablePrinter {
 public:
  TablePrinter(std::vector<std::string> header, std::vector<int> widths);
  void row(const std::vector<std::string>& cells) const;

 private:
  std::vector<int> widths_;
};

} // namespace fcc::tools
