#include "fcc_bench/reports.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <torch/version.h>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/io/files.h"

namespace fcc::tools {
namespace {

/// Columns that a terminal needs: letters of UTF-8, not bytes.
int width_of(const std::string& text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

} // namespace

void write_report(const std::string& path, const std::string& content) {
  if (path.empty()) {
    return;
  }
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure) {
      throw IoError(folder.string(), "must be a directory", failure.message());
    }
  }
  write_file_atomic(path, content);
  std::fprintf(stderr, "wrote %s\n", path.c_str());
}

std::string format_rate(double value) {
  return format_number(value, value < 1 ? 4 : value < 100 ? 2 : 0);
}

nlohmann::json rates_json(const DeviceRates& rates) {
  nlohmann::json json{
      {"device", rates.name},
      {"torch", TORCH_VERSION},
      {"product_size", rates.product_size},
      {"product_tflops", rates.product_tflops},
      {"copy_gb_per_s", rates.copy_gb_per_s}};
  if (rates.sustained_product_tflops > 0) {
    json["sustained_product_tflops"] = rates.sustained_product_tflops;
  }
  if (const auto nominal = nominal_tflops(rates.name)) {
    json["nominal_bf16_tflops"] = *nominal;
  }
  return json;
}

std::string rates_text(const DeviceRates& rates) {
  std::string text = rates.name;
  text.append(": a product of ").append(std::to_string(rates.product_size));
  text.append("³ runs at ").append(format_rate(rates.product_tflops));
  text.append(" TFLOP/s");
  if (rates.sustained_product_tflops > 0) {
    text.append(" (").append(format_rate(rates.sustained_product_tflops));
    text.append(" after two seconds of it)");
  }
  text.append(", a copy at ").append(format_rate(rates.copy_gb_per_s));
  return text.append(" GB/s");
}

TablePrinter::TablePrinter(std::vector<std::string> header, std::vector<int> widths)
    : widths_(std::move(widths)) {
  for (std::size_t i = 0; i < header.size(); ++i) {
    widths_[i] = std::max(widths_[i], width_of(header[i]));
  }
  row(header);
}

void TablePrinter::row(const std::vector<std::string>& cells) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto gap = static_cast<std::size_t>(std::max(widths_[i] - width_of(cells[i]), 0));
    const std::string space(gap, ' ');
    line += i == 0 ? cells[i] + space : "  " + space + cells[i];
  }
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

} // namespace fcc::tools
