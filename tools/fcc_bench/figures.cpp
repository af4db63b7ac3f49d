// fcc-bench memory and speed: figures 5-7 of arXiv 2405.04620 for this machine.

#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fcc/config/field.h"
#include "fcc/core/error.h"
#include "fcc_bench/commands.h"
#include "fcc_bench/profile.h"
#include "fcc_bench/reports.h"
#include "fcc_bench/step.h"
#include "plot/plot.h"

namespace fcc::tools {
namespace {

constexpr std::int64_t kFirstTokens = 512;

/// What tells the two figures apart.
struct Figure {
  const char* name; ///< of the command and the files
  const char* title;
  const char* y_label;
  double y_tick_base;
  double (*value)(const StepTiming&, const StepCase&);
};

double memory_of(const StepTiming& timing, const StepCase&) {
  return static_cast<double>(timing.peak_bytes) / 0x1p30;
}

double speed_of(const StepTiming& timing, const StepCase& shape) {
  return timing.tokens_per_second(shape);
}

constexpr Figure kMemory{
    "memory",
    "Peak memory of a training step (figures 5, 6)",
    "peak memory, GiB",
    1,
    memory_of};
constexpr Figure kSpeed{"speed", "Speed of a training step (figure 7)", "tokens/s", 1000, speed_of};

struct Options {
  StepOptions step;
  ProfileOptions profile; ///< of each line's longest sequence
  std::int64_t segment_length = 256, max_tokens = 0;
  std::vector<std::int64_t> batches{1, 4};
  std::string schedule = "wavefront", activations = "auto", output;
};

/// One line of the figure: an architecture at a batch size, length after length.
struct Sweep {
  std::int64_t segment_length = 0, batch = 1;
  LineSeries line;
  nlohmann::json points = nlohmann::json::array();
};

void add_options(CLI::App& app, Options& options) {
  add_step_options(app, options.step);
  app.add_option("--segment-length", options.segment_length, "L of the folded model")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Model");
  app.add_option(
         "--max-tokens",
         options.max_tokens,
         "Lengths double from 512 up to this; default: 65536 on a GPU, 2048 on a CPU")
      ->check(CLI::Range(kFirstTokens, std::int64_t{1} << 40))
      ->group("Measuring");
  app.add_option("--batch", options.batches, "Sequences a step, several allowed")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Measuring");
  app.add_option("--schedule", options.schedule, "wavefront or sequential")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--activations", options.activations, "store, recompute or auto")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("-o,--output", options.output, "Folder for NAME.svg, NAME.csv and NAME.json")
      ->type_name("FOLDER")
      ->required()
      ->group("Output");
}

std::string line_name(const Sweep& sweep) {
  std::string name = sweep.segment_length > 0 ? "FCC, L " + std::to_string(sweep.segment_length)
                                              : std::string("full attention");
  return name.append(", batch ").append(std::to_string(sweep.batch));
}

/// Measures one line; out of memory ends it with a note.
void measure_line(
    Sweep& sweep,
    const Figure& figure,
    const Options& options,
    std::int64_t max_tokens,
    const std::function<void(const std::vector<std::string>&)>& report) {
  sweep.line.name = line_name(sweep);
  for (std::int64_t tokens = kFirstTokens; tokens <= max_tokens; tokens *= 2) {
    const StepCase shape{
        sweep.segment_length, sweep.batch, tokens, options.schedule, options.activations};
    nlohmann::json point{{"tokens", tokens}};
    const std::vector<std::string> head{
        architecture_name(sweep.segment_length),
        std::to_string(sweep.batch),
        std::to_string(tokens)};
    try {
      const bool longest = 2 * tokens > max_tokens;
      std::string profiled;
      const StepTiming timing =
          measure_steps(options.step, shape, [&](TrainingStep& step, const StepTiming& measured) {
            if (longest && options.profile.wanted()) {
              const at::Device device = device_from_name(options.step.device, "--device");
              const Profile taken = profile(device, options.profile.trace, [&] { step.run(); });
              const double median_ms = measured.median * 1e3;
              profiled = profile_text(taken, options.profile, !device.is_cpu(), median_ms);
              point["profile"] = profile_json(taken, median_ms);
            }
          });
      sweep.line.x.push_back(static_cast<double>(tokens));
      sweep.line.y.push_back(figure.value(timing, shape));
      point.update(
          {{"peak_bytes", timing.peak_bytes},
           {"tokens_per_second", timing.tokens_per_second(shape)},
           {"median_ms", timing.median * 1e3},
           {"min_ms", timing.min * 1e3},
           {"max_ms", timing.max * 1e3}});
      std::vector<std::string> cells = head;
      for (const auto& [value, decimals] :
           {std::pair{memory_of(timing, shape), 3},
            std::pair{speed_of(timing, shape), 0},
            std::pair{timing.median * 1e3, 2},
            std::pair{timing.min * 1e3, 2},
            std::pair{timing.max * 1e3, 2}}) {
        cells.push_back(format_number(value, decimals));
      }
      report(cells);
      if (!timing.finite) {
        std::printf("  %s\n", kNotFinite);
        point["finite"] = false;
      }
      if (!profiled.empty()) {
        std::printf("\n%s\n", profiled.c_str());
        std::fflush(stdout);
      }
    } catch (const std::exception& error) {
      if (!is_out_of_memory(error)) {
        throw;
      }
      sweep.line.end_note = "out of memory at " + std::to_string(tokens);
      point["out_of_memory"] = true;
      report({head[0], head[1], head[2], "out of memory", "", "", "", ""});
    }
    sweep.points.push_back(std::move(point));
    if (!sweep.line.end_note.empty()) {
      return;
    }
  }
}

std::string rounded(double tokens) {
  return format_number(tokens, 0);
}

/// Where the two lines of a batch size cross, in words and as a mark; they may not.
std::string compare(
    const Sweep& folded,
    const Sweep& full,
    const Figure& figure,
    LineChart& chart,
    nlohmann::json& crossings) {
  std::string text = "batch ";
  text.append(std::to_string(folded.batch)).append(": ");
  nlohmann::json entry{{"batch", folded.batch}};
  const auto crossing = crossing_of(full.line, folded.line);
  if (crossing) {
    entry.update({{"tokens", crossing->x}, {"value", crossing->y}});
    text.append("the lines cross at about ").append(rounded(crossing->x)).append(" tokens");
    std::string label = "cross at ";
    chart.marks.push_back(
        {crossing->x,
         crossing->y,
         label.append(rounded(crossing->x)).append(", batch ").append(std::to_string(folded.batch)),
         folded.line.colour});
  } else if (folded.line.y.empty() || full.line.y.empty()) {
    text += "one line has no point";
  } else {
    const bool above = folded.line.y.front() > full.line.y.front();
    text.append("the lines do not cross where both were measured: FCC is ")
        .append(
            figure.y_tick_base == 1000 ? (above ? "faster" : "slower")
                                       : (above ? "larger" : "smaller"))
        .append(" throughout");
  }
  if (!full.line.end_note.empty()) {
    text.append("; full attention: ").append(full.line.end_note);
  }
  if (!folded.line.end_note.empty()) {
    text.append("; FCC: ").append(folded.line.end_note);
  }
  crossings.push_back(std::move(entry));
  return text;
}

int run(const Figure& figure, const Options& options) {
  const at::Device device = device_from_name(options.step.device, "--device");
  const ComputeDType dtype = dtype_from_option(options.step.dtype, device);
  bench_model(options.step.preset, 0); // an unknown preset is refused before anything is measured
  const std::int64_t max_tokens =
      options.max_tokens > 0 ? options.max_tokens : (device.is_cpu() ? 2048 : 65536);
  const std::string name = device_name(device);
  std::string source = name;
  source.append(", ").append(options.step.preset).append(", ").append(enum_name(dtype));
  source.append(", ").append(options.step.execution).append(" engine for both, AdamW included");
  std::printf("%s\n%s\n\n", figure.title, source.c_str());

  Table table;
  table.header = {
      "architecture", "batch", "tokens", "peak GiB", "tokens/s", "ms/step", "min", "max"};
  const TablePrinter printer(table.header, {14, 5, 8, 13, 9, 9, 9, 9});
  const auto report = [&](const std::vector<std::string>& cells) {
    printer.row(cells);
    table.rows.push_back(cells);
  };
  LineChart chart{
      .title = figure.title,
      .source = source,
      .x_label = "tokens a sequence",
      .y_label = figure.y_label,
      .y_tick_base = figure.y_tick_base,
      .series = {},
      .marks = {}};
  nlohmann::json lines = nlohmann::json::array(), crossings = nlohmann::json::array();
  std::vector<std::string> notes;
  std::size_t colour = 0;
  for (const std::int64_t batch : options.batches) {
    Sweep folded{options.segment_length, batch, {}, nlohmann::json::array()};
    Sweep full{0, batch, {}, nlohmann::json::array()};
    full.line.dashed = true;
    for (Sweep* sweep : {&folded, &full}) {
      sweep->line.colour = colour;
      measure_line(*sweep, figure, options, max_tokens, report);
      lines.push_back(
          {{"segment_length", sweep->segment_length}, {"batch", batch}, {"points", sweep->points}});
    }
    notes.push_back(compare(folded, full, figure, chart, crossings));
    for (Sweep* sweep : {&folded, &full}) {
      if (!sweep->line.x.empty()) {
        chart.series.push_back(std::move(sweep->line));
      }
    }
    ++colour;
  }
  std::printf("\n");
  for (const std::string& note : notes) {
    std::printf("%s\n", note.c_str());
  }
  std::fflush(stdout);
  const std::string stem = options.output + "/" + figure.name;
  if (chart.series.empty()) {
    throw Error("fcc-bench", "no point could be measured: memory ran out at the shortest length");
  }
  write_report(stem + ".svg", line_chart_svg(chart));
  write_report(stem + ".csv", table_csv(table));
  const nlohmann::json json{
      {"device", name},
      {"preset", options.step.preset},
      {"execution", options.step.execution},
      {"dtype", std::string(enum_name(dtype))},
      {"lines", std::move(lines)},
      {"crossings", std::move(crossings)}};
  write_report(stem + ".json", json.dump(2) + "\n");
  return 0;
}

std::function<int()>
add_figure(CLI::App& app, const Figure& figure, const char* what, std::int64_t steps) {
  CLI::App* command = app.add_subcommand(figure.name, what);
  command->footer(
      "Both architectures run in the same engine, each length in a fresh model. A length that does "
      "not fit ends its line with a note. Peak memory: what the GPU's allocator reserved, all "
      "states included; on a CPU the resident memory that the point added to the program. The "
      "figure has log2 axes; where the lines of a batch size cross is computed between the "
      "measured points, printed and marked.");
  const auto options = std::make_shared<Options>();
  options->step.steps = steps;
  options->step.warmup = 2;
  add_options(*command, *options);
  if (&figure == &kSpeed) {
    add_profile_options(*command, options->profile);
  }
  return [options, &figure] { return run(figure, *options); };
}

} // namespace

std::function<int()> add_memory_command(CLI::App& app) {
  return add_figure(
      app, kMemory, "Draws peak memory over the length, against full attention (figures 5, 6)", 2);
}

std::function<int()> add_speed_command(CLI::App& app) {
  return add_figure(
      app, kSpeed, "Draws tokens/s over the length, against full attention (figure 7)", 5);
}

} // namespace fcc::tools
