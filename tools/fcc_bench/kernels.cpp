// fcc-bench kernels: the backends of memory attention against each other, and the row kernels.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/Context.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc_bench/commands.h"
#include "fcc_bench/kernels.h"
#include "fcc_bench/reports.h"

namespace fcc::tools {
namespace {

struct Options {
  std::string device = "auto";
  std::vector<std::string> shapes, backends;
  std::int64_t num_heads = 0, num_kv_heads = 8, num_memory = -1;
  int rounds = 7;
  bool attention_only = false, rows_only = false;
  std::string csv, json;
};

constexpr const char* kFooter =
    "Each backend is first checked over its whole launch against float64 (first and last cell; an "
    "error of at most twice that of the same maths in plain operators): a backend that fails is "
    "marked WRONG and the exit code is 1. Then all are timed in one run, in turns: a round runs "
    "every backend once, so that clocks and heat fall on all alike; medians and extremes over the "
    "rounds are shown. On a GPU a run is a CUDA graph of 24 launches, so that no launch cost of "
    "the host counts, over inputs that take turns and together pass 128 MB, so that no launch "
    "finds its inputs in the L2 cache: as in a training step, where other work lies between.\n"
    "TFLOP/s counts useful work alone: 4 (L Lm + L (L + 1) / 2) E H cells forward, 2.5 times that "
    "backward. Backends: fcc (the project's own, deterministic), flash (ATen's FlashAttention-2), "
    "cudnn (bottom-right causal mask, deterministic), cudnn-any-order (its backward may sum in any "
    "order), cudnn-no-mask (every key seen: other work, shown for comparison with figures from "
    "elsewhere, left out of `best other`), reference (plain operators; the default on a CPU).";

void add_options(CLI::App& app, Options& options) {
  app.add_option("--device", options.device, "auto, cuda, cuda:N or cpu")
      ->capture_default_str()
      ->group("Measuring");
  app.add_option(
         "--shapes",
         options.shapes,
         "Cells/E/L, several allowed (16/64/512,1/128/512); default: the seven of "
         "docs/performance.md, on a CPU two small ones")
      ->delimiter(',')
      ->group("Shapes");
  app.add_option("--heads", options.num_heads, "H; default: 32 at E 64, 24 at E 128, 4 on a CPU")
      ->group("Shapes");
  app.add_option("--kv-heads", options.num_kv_heads, "G (on a CPU with default shapes: 2)")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Shapes");
  app.add_option("--memory", options.num_memory, "Lm, rows of memory; default: L; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->group("Shapes");
  app.add_option("--backends", options.backends, "Which to measure; default: all that serve")
      ->delimiter(',')
      ->check(CLI::IsMember(attention_backends()))
      ->group("Measuring");
  app.add_option("--rounds", options.rounds, "Rounds over all backends")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Measuring");
  auto* attention = app.add_flag("--attention-only", options.attention_only, "No row kernels")
                        ->group("Measuring");
  app.add_flag("--rows-only", options.rows_only, "No attention")
      ->excludes(attention)
      ->group("Measuring");
  app.add_option("--csv", options.csv, "The attention table as CSV")
      ->type_name("FILE")
      ->group("Output");
  app.add_option("--json", options.json, "Everything as JSON")->type_name("FILE")->group("Output");
}

std::int64_t number_in(const std::string& text, const std::string& shape) {
  const bool digits =
      !text.empty() && text.size() < 10 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  const std::int64_t value = digits ? std::stoll(text) : 0;
  if (value < 1) {
    throw ConfigError("--shapes", "a shape is cells/E/L, three whole numbers from 1", shape);
  }
  return value;
}

AttentionShape shape_from(const std::string& text) {
  const std::size_t first = text.find('/');
  const std::size_t second = first == std::string::npos ? first : text.find('/', first + 1);
  if (second == std::string::npos) {
    throw ConfigError("--shapes", "a shape is cells/E/L, three whole numbers from 1", text);
  }
  AttentionShape shape;
  shape.cells = number_in(text.substr(0, first), text);
  shape.head_dim = number_in(text.substr(first + 1, second - first - 1), text);
  shape.length = number_in(text.substr(second + 1), text);
  return shape;
}

std::vector<AttentionShape> shapes_of(const Options& options, at::Device device) {
  std::vector<std::string> names = options.shapes;
  std::int64_t kv_heads = options.num_kv_heads;
  if (names.empty() && device.is_cpu()) {
    names = {"2/16/32", "1/16/64"};
    kv_heads = 2;
  } else if (names.empty()) {
    names = {
        "16/64/256", "16/64/512", "64/64/512", "8/64/1024", "16/128/512", "8/128/1024", "1/64/512"};
  }
  std::vector<AttentionShape> shapes;
  for (const std::string& name : names) {
    AttentionShape shape = shape_from(name);
    const std::int64_t usual = device.is_cpu() ? 4 : (shape.head_dim == 128 ? 24 : 32);
    shape.num_heads = options.num_heads > 0 ? options.num_heads : usual;
    shape.num_kv_heads = kv_heads;
    shape.num_memory = options.num_memory;
    if (shape.num_heads % shape.num_kv_heads != 0) {
      throw ConfigError(
          "--kv-heads",
          "must divide the heads, " + std::to_string(shape.num_heads),
          std::to_string(shape.num_kv_heads));
    }
    shapes.push_back(shape);
  }
  return shapes;
}

std::string spread(const LaunchTime& time) {
  return format_number(time.median, 4) + " (" + format_number(time.min, 4) + "–" +
         format_number(time.max, 4) + ")";
}

double ratio_to(double other, double own) {
  return own > 0 ? other / own : 0;
}

std::string times(double ratio) {
  return ratio > 0 ? format_number(ratio, 2) : "–";
}

/// The median of `name`, or 0 where it was not measured.
double median_of(
    const std::vector<AttentionResult>& results,
    const std::string& name,
    LaunchTime AttentionResult::*pass) {
  for (const AttentionResult& result : results) {
    if (result.backend == name && result.refusal.empty()) {
      return (result.*pass).median;
    }
  }
  return 0;
}

/// The shortest median of the others that do the same work, or 0.
double best_other(
    const std::vector<AttentionResult>& results,
    const std::string& name,
    LaunchTime AttentionResult::*pass) {
  double best = 0;
  for (const AttentionResult& result : results) {
    const double median = (result.*pass).median;
    if (result.backend != name && result.same_work && result.refusal.empty() &&
        (best == 0 || median < best)) {
      best = median;
    }
  }
  return best;
}

struct AttentionReport {
  Table table;
  nlohmann::json rows = nlohmann::json::array();
  bool all_right = true;
};

void report_shape(
    AttentionReport& report,
    const TablePrinter& printer,
    const AttentionShape& shape,
    const std::vector<AttentionResult>& results,
    const DeviceRates& rates) {
  for (const AttentionResult& result : results) {
    const bool wrong = result.refusal.empty() && !result.right();
    report.all_right = report.all_right && !wrong;
    for (const bool forward : {true, false}) {
      const auto pass = forward ? &AttentionResult::forward : &AttentionResult::backward;
      const LaunchTime& time = result.*pass;
      std::vector<std::string> cells{
          std::to_string(shape.cells),
          std::to_string(shape.head_dim),
          std::to_string(shape.length),
          std::to_string(shape.memory()),
          forward ? "forward" : "backward",
          result.backend};
      nlohmann::json row{
          {"cells", shape.cells},
          {"head_dim", shape.head_dim},
          {"length", shape.length},
          {"memory", shape.memory()},
          {"num_heads", shape.num_heads},
          {"num_kv_heads", shape.num_kv_heads},
          {"pass", cells[4]},
          {"backend", result.backend}};
      if (!result.refusal.empty()) {
        row["refused"] = result.refusal;
        if (forward) {
          std::printf("%s: %s\n", result.backend.c_str(), result.refusal.c_str());
        }
        report.rows.push_back(std::move(row));
        continue;
      }
      const double tflops = shape.forward_flops() * (forward ? 1 : 2.5) / time.median * 1e-9;
      const double flash = ratio_to(median_of(results, "flash", pass), time.median);
      const double best = ratio_to(best_other(results, result.backend, pass), time.median);
      cells.push_back(spread(time));
      cells.push_back(format_rate(tflops));
      cells.push_back(times(flash));
      cells.push_back(times(best));
      cells.push_back(format_number(100 * tflops / rates.product_tflops, 1) + " %");
      cells.push_back(
          (wrong ? "WRONG " : "") + format_number(1e3 * result.error, 2) + "/" +
          format_number(1e3 * result.allowed, 2));
      row.update(
          {{"median_ms", time.median},
           {"min_ms", time.min},
           {"max_ms", time.max},
           {"tflops", tflops},
           {"times_flash", flash},
           {"times_best_other", best},
           {"share_of_product", tflops / rates.product_tflops},
           {"error", result.error},
           {"allowed_error", result.allowed},
           {"right", !wrong},
           {"same_work", result.same_work}});
      printer.row(cells);
      report.table.rows.push_back(std::move(cells));
      report.rows.push_back(std::move(row));
    }
  }
}

AttentionReport run_attention(const Options& options, at::Device device, const DeviceRates& rates) {
  AttentionBenchOptions bench;
  bench.rounds = options.rounds;
  bench.backends = options.backends;
  if (bench.backends.empty()) {
    bench.backends =
        device.is_cpu()
            ? std::vector<std::string>{"reference"}
            : std::vector<std::string>{"fcc", "flash", "cudnn", "cudnn-any-order", "cudnn-no-mask"};
  }
  AttentionReport report;
  report.table.header = {
      "cells",
      "E",
      "L",
      "Lm",
      "pass",
      "backend",
      "ms (min–max)",
      "TFLOP/s",
      "× flash",
      "× best other",
      "of product",
      "error/bound ‰"};
  const TablePrinter printer(report.table.header, {5, 4, 5, 5, 8, 15, 24, 7, 7, 12, 10, 13});
  for (const AttentionShape& shape : shapes_of(options, device)) {
    report_shape(report, printer, shape, bench_attention(shape, device, bench), rates);
  }
  return report;
}

nlohmann::json run_rows(const Options& options, at::Device device, const DeviceRates& rates) {
  const std::int64_t width = device.is_cpu() ? 64 : 2048, rows = device.is_cpu() ? 256 : 65536;
  std::printf(
      "\nrows of %lld, %lld of them (AdamW: a whole model)\n",
      static_cast<long long>(width),
      static_cast<long long>(rows));
  const TablePrinter printer({"kernel", "ms (min–max)", "GB/s", "of a copy"}, {20, 24, 8, 9});
  nlohmann::json json = nlohmann::json::array();
  for (const RowResult& result : bench_rows(width, rows, device, options.rounds)) {
    const double rate = result.gigabytes / result.time.median * 1e3;
    printer.row(
        {result.name,
         spread(result.time),
         format_rate(rate),
         format_number(100 * rate / rates.copy_gb_per_s, 0) + " %"});
    json.push_back(
        {{"kernel", result.name},
         {"gigabytes", result.gigabytes},
         {"median_ms", result.time.median},
         {"min_ms", result.time.min},
         {"max_ms", result.time.max},
         {"gb_per_s", rate},
         {"share_of_copy", rate / rates.copy_gb_per_s}});
  }
  return json;
}

int run(const Options& options) {
  const at::Device device = device_from_name(options.device, "--device");
  shapes_of(options, device); // a wrong shape is refused before anything is measured
  at::manual_seed(1);
  const DeviceRates rates = measure_rates(device, device.is_cpu() ? at::kFloat : at::kBFloat16);
  std::printf("%s\n\n", rates_text(rates).c_str());
  nlohmann::json json{{"device", rates_json(rates)}};
  bool all_right = true;
  if (!options.rows_only) {
    AttentionReport report = run_attention(options, device, rates);
    all_right = report.all_right;
    write_report(options.csv, table_csv(report.table));
    json["attention"] = std::move(report.rows);
  }
  if (!options.attention_only) {
    json["rows"] = run_rows(options, device, rates);
  }
  write_report(options.json, json.dump(2) + "\n");
  return all_right ? 0 : 1;
}

} // namespace

std::function<int()> add_kernels_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "kernels", "Memory attention by every backend, and the kernels that move rows");
  command->footer(kFooter);
  const auto options = std::make_shared<Options>();
  add_options(*command, *options);
  return [options] { return run(*options); };
}

} // namespace fcc::tools
