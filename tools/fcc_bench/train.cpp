// fcc-bench train: whole training steps over lengths, architectures, policies and schedules.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/checks.h"
#include "common/torch/as_rank.h"
#include "common/torch/rank_environment.h"
#include "fcc/config/field.h"
#include "fcc/core/error.h"
#include "fcc/dist/rank_settings.h"
#include "fcc/model/device.h"
#include "fcc/train/ranks.h"
#include "fcc_bench/commands.h"
#include "fcc_bench/profile.h"
#include "fcc_bench/reports.h"
#include "fcc_bench/step.h"

namespace fcc::tools {
namespace {

struct Options {
  StepOptions step;
  std::vector<std::int64_t> segment_lengths{512}, tokens{16384}, batches{1};
  std::vector<std::string> schedules{"wavefront"}, activations{"auto"};
  ProfileOptions profile;
  std::string csv, json;
};

void add_options(CLI::App& app, Options& options) {
  add_step_options(app, options.step);
  app.add_option(
         "--segment-length", options.segment_lengths, "L, several allowed; 0: full attention")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group("Model");
  app.add_option("--tokens", options.tokens, "Tokens a sequence, several allowed; 16k is 16384")
      ->delimiter(',')
      ->capture_default_str()
      ->transform(binary_thousands())
      ->check(CLI::PositiveNumber)
      ->group("Measuring");
  app.add_option("--batch", options.batches, "Sequences a step, several allowed")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Measuring");
  app.add_option("--schedule", options.schedules, "wavefront, sequential, or both")
      ->delimiter(',')
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--activations", options.activations, "store, recompute, auto, or several")
      ->delimiter(',')
      ->capture_default_str()
      ->group("Engine");
  add_profile_options(app, options.profile);
  app.add_option("--csv", options.csv, "The table as CSV")->type_name("FILE")->group("Output");
  app.add_option("--json", options.json, "Table, device and profiles as JSON")
      ->type_name("FILE")
      ->group("Output");
}

std::vector<StepCase> cases_of(const Options& options) {
  std::vector<StepCase> cases;
  for (const std::int64_t length : options.segment_lengths) {
    for (const std::string& schedule : options.schedules) {
      for (const std::string& activations : options.activations) {
        for (const std::int64_t batch : options.batches) {
          for (const std::int64_t tokens : options.tokens) {
            cases.push_back({length, batch, tokens, schedule, activations});
          }
        }
      }
    }
  }
  return cases;
}

std::string percent(double share) {
  return format_number(100 * share, 1) + " %";
}

/// `4 ranks, layers split over 2: `, or nothing for one.
std::string ranks_text(const StepOptions& options) {
  const std::int64_t count = options.ranks->size();
  if (count == 1) {
    return "";
  }
  const bool split = options.layer_ranks > 1;
  return std::to_string(count) + " ranks" +
         (split ? ", layers split over " + std::to_string(options.layer_ranks) : "") + ": ";
}

int run(const Options& options) {
  const at::Device device = device_from_name(options.step.device, "--device");
  set_cpu_threads(0, device);
  const ComputeDType dtype = dtype_from_option(options.step.dtype, device);
  bench_model(options.step.preset, 0); // an unknown preset is refused before anything is measured
  const DeviceRates rates =
      measure_rates(device, dtype == ComputeDType::kBFloat16 ? at::kBFloat16 : at::kFloat);
  const double nominal = // 0: unknown
      dtype == ComputeDType::kBFloat16 ? nominal_tflops(rates.name).value_or(0) : 0;
  const bool writes = options.step.ranks->is_first();
  if (!writes && std::freopen("/dev/null", "w", stdout) == nullptr) {
    throw Error("fcc-bench", "/dev/null must be writable");
  }
  std::printf(
      "%s%s, %s, %s\n%s\n\n",
      ranks_text(options.step).c_str(),
      options.step.preset.c_str(),
      options.step.execution.c_str(),
      std::string(enum_name(dtype)).c_str(),
      rates_text(rates).c_str());

  Table table;
  table.header = {
      "architecture",
      "schedule",
      "activations",
      "batch",
      "tokens",
      "tokens/s",
      "ms/step",
      "min",
      "max",
      "TFLOP/s",
      "of product",
      "peak GiB"};
  std::vector<int> widths{14, 10, 11, 5, 8, 9, 9, 9, 9, 7, 10, 8};
  if (nominal > 0) {
    table.header.push_back("MFU");
    widths.push_back(7);
  }
  const TablePrinter printer(table.header, widths);
  nlohmann::json rows = nlohmann::json::array();
  bool any = false;
  for (const StepCase& shape : cases_of(options)) {
    nlohmann::json row{
        {"segment_length", shape.segment_length},
        {"schedule", shape.schedule},
        {"activations", shape.activations},
        {"batch", shape.batch},
        {"tokens", shape.tokens}};
    std::vector<std::string> cells{
        architecture_name(shape.segment_length),
        shape.schedule,
        shape.activations,
        std::to_string(shape.batch),
        std::to_string(shape.tokens)};
    std::unique_ptr<Profile> taken;
    StepTiming timing;
    try {
      timing = measure_steps(options.step, shape, [&](TrainingStep& step, const StepTiming&) {
        if (options.profile.wanted()) {
          taken = std::make_unique<Profile>(
              profile(device, options.profile.trace, [&] { step.run(); }));
        }
      });
      cells.push_back(format_number(timing.tokens_per_second(shape), 0));
      for (const double seconds : {timing.median, timing.min, timing.max}) {
        cells.push_back(format_number(seconds * 1e3, 2));
      }
      cells.push_back(format_rate(timing.tflops()));
      cells.push_back(percent(timing.tflops() / rates.product_tflops));
      cells.push_back(format_number(static_cast<double>(timing.peak_bytes) / 0x1p30, 2));
      if (nominal > 0) {
        cells.push_back(percent(timing.tflops() / nominal));
        row["mfu"] = timing.tflops() / nominal;
      }
      any = true;
      row.update(
          {{"tokens_per_second", timing.tokens_per_second(shape)},
           {"median_ms", timing.median * 1e3},
           {"min_ms", timing.min * 1e3},
           {"max_ms", timing.max * 1e3},
           {"tflops", timing.tflops()},
           {"share_of_product", timing.tflops() / rates.product_tflops},
           {"peak_bytes", timing.peak_bytes}});
    } catch (const std::exception& error) {
      if (!is_out_of_memory(error) || options.step.ranks->size() > 1) {
        throw;
      }
      cells.resize(table.header.size(), "");
      cells[5] = "out of memory";
      row["out_of_memory"] = true;
    }
    printer.row(cells);
    if (!timing.finite) {
      std::printf("  %s\n", kNotFinite);
      row["finite"] = false;
    }
    if (taken) {
      const double median_ms = timing.median * 1e3;
      std::printf(
          "\n%s\n", profile_text(*taken, options.profile, !device.is_cpu(), median_ms).c_str());
      std::fflush(stdout);
      row["profile"] = profile_json(*taken, timing.median * 1e3);
    }
    table.rows.push_back(std::move(cells));
    rows.push_back(std::move(row));
  }
  write_report(options.csv, table_csv(table));
  nlohmann::json report{
      {"device", rates_json(rates)},
      {"preset", options.step.preset},
      {"execution", options.step.execution},
      {"attention", options.step.attention},
      {"dtype", std::string(enum_name(dtype))},
      {"chunk_segments", options.step.chunk_segments},
      {"host_boundaries", options.step.host_boundaries},
      {"cuda_graphs", options.step.cuda_graphs},
      {"ranks", options.step.ranks->size()},
      {"layer_ranks", options.step.layer_ranks},
      {"rows", std::move(rows)}};
  write_report(options.json, report.dump(2) + "\n");
  return any ? 0 : 1; // a row that does not fit is a result too, unless all are such
}

/// As one of several ranks: all measure together, and the first one writes.
int run_as_rank(const RankSettings& settings, Options options) {
  EngineSection engine;
  engine.device = options.step.device;
  const at::Device device = device_of_rank(engine, settings);
  options.step.device = device.str();
  setenv("NCCL_NVLS_ENABLE", "0", /*overwrite=*/0); // as fcc-train
  options.step.ranks = meet_ranks(settings, device);
  if (!options.step.ranks->is_first()) {
    options.csv = options.json = "";
  }
  return as_rank("fcc-bench", options.step.ranks, [&] { return run(options); });
}

} // namespace

std::function<int()> add_train_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "train", "Whole training steps (forward, backward, norm, AdamW) on random tokens");
  command->footer(
      "One row a combination of architecture, schedule, activations, batch and length. TFLOP/s "
      "counts the products of a step, 6 a weight and token and the visible pairs of attention; "
      "recomputation counts for nothing. MFU: their share of the card's stated peak of dense "
      "bfloat16, where the card is known by name. `of product`: of a large product's rate in this "
      "run. Peak GiB: what the GPU's allocator reserved; on a CPU the resident memory that the "
      "row added. As one of several ranks (docs/several_gpus.md) --batch and --tokens are each "
      "model's, tokens/s are those of all ranks, TFLOP/s and peak are rank 0's.");
  const auto options = std::make_shared<Options>();
  add_options(*command, *options);
  return [options] {
    const auto settings = read_rank_settings(environment_variable);
    return settings ? run_as_rank(*settings, *options) : run(*options);
  };
}

} // namespace fcc::tools
