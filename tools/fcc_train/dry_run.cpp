#include "fcc_train/dry_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include "fcc/config/describe_config.h"
#include "fcc/config/write_config.h"
#include "fcc/model/device.h"
#include "fcc/train/estimate.h"
#include "fcc/train/resume.h"
#include "fcc/train/trainer.h"

namespace fcc::tools {
namespace {

/// Steps above it are not run for a measurement: minutes on two CPU cores.
constexpr double kMostFlops = 1e12;

/// What a step reaches of a large product's rate, at worst and at best, on models of this kind
/// (docs/performance.md; on a CPU much the same).
constexpr double kWorstShare = 0.25, kBestShare = 0.6;

using Clock = std::chrono::steady_clock;
using Checkpoint = std::optional<std::filesystem::path>;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double seconds_a_token(const RunConfig& config, const Checkpoint& checkpoint) {
  Trainer trainer(config, make_trainer_parts(config, checkpoint));
  trainer.step(); // the first one allocates
  const std::int64_t tokens_before = trainer.state().tokens_seen;
  const auto start = Clock::now();
  while (!trainer.finished() && seconds_since(start) < 1.0) {
    trainer.step();
  }
  const double seconds = seconds_since(start);
  const std::int64_t tokens = trainer.state().tokens_seen - tokens_before;
  return tokens > 0 ? seconds / static_cast<double>(tokens) : 0.0;
}

/// Rate of a product of 1024² matrices in the run's dtype on the CPU, operations a second.
double product_rate(ComputeDType dtype) {
  constexpr std::int64_t kSize = 1024;
  const auto type = dtype == ComputeDType::kBFloat16  ? at::kBFloat16
                    : dtype == ComputeDType::kFloat64 ? at::kDouble
                                                      : at::kFloat;
  const at::Tensor a = at::ones({kSize, kSize}, type);
  at::Tensor c = at::mm(a, a); // chooses its way
  const auto start = Clock::now();
  double operations = 0;
  do {
    at::mm_out(c, a, a);
    operations += 2.0 * kSize * kSize * kSize;
  } while (seconds_since(start) < 0.5);
  return operations / seconds_since(start);
}

std::string duration(double seconds) {
  char text[64];
  if (seconds < 120) {
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else if (seconds < 2 * 3600) {
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  } else if (seconds < 3 * 86400) {
    std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
  } else {
    std::snprintf(text, sizeof text, "%.0f days", seconds / 86400);
  }
  return text;
}

void print_time(
    const RunConfig& config,
    const Checkpoint& checkpoint,
    const RunEstimate& estimate,
    at::Device device) {
  const RunEstimate::Stage& first = estimate.stages.front();
  const double flops = estimate.flops_per_token * first.tokens / static_cast<double>(first.steps);
  std::printf("time (no validation, no saving)\n");
  if (flops > kMostFlops && device.is_cpu()) {
    const double rate = product_rate(config.engine.dtype);
    const double all = estimate.flops_per_token * estimate.tokens();
    std::printf(
        "  %s to %s for all steps: %.1e operations, where a large product runs at %.0f GFLOP/s\n",
        duration(all / (kBestShare * rate)).c_str(),
        duration(all / (kWorstShare * rate)).c_str(),
        all,
        rate * 1e-9);
    return;
  }
  const double seconds = seconds_a_token(config, checkpoint) * estimate.tokens();
  std::printf(
      "  about %s for all steps, from the first stage's measured tokens/s\n",
      duration(seconds).c_str());
}

/// How often each dataset is read through, stage by stage together, if all steps are made.
void print_data(const RunConfig& config, const RunData& data, std::int64_t segment_length) {
  std::vector<std::vector<double>> positions;
  for (const Loader& loader : data.loaders) {
    positions.emplace_back(loader.datasets().size(), 0.0);
  }
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    const StageConfig& stage = config.train.stages[i];
    const std::size_t of_stage = data.loader_of_stage[i];
    const Loader& loader = data.loaders[of_stage];
    const BatchShape row{
        .num_segments = std::max<std::int64_t>(1, std::llround(stage.segments.mean())),
        .num_prefix_segments = std::llround(stage.prefix_segments.mean()),
        .segment_length = stage_segment_length(config.train, i, segment_length)};
    const double rows = static_cast<double>(
        stage.steps * stage.accumulate.value_or(config.train.accumulate) *
        stage.batch_size.value_or(config.train.batch_size));
    for (std::size_t d = 0; d < loader.datasets().size(); ++d) {
      const auto a_row = static_cast<double>(loader.datasets()[d]->skip(row, 0));
      positions[of_stage][d] += rows * loader.share(d) * a_row;
    }
  }
  std::printf("training data\n");
  for (std::size_t l = 0; l < data.loaders.size(); ++l) {
    for (std::size_t d = 0; d < positions[l].size(); ++d) {
      const Dataset& dataset = *data.loaders[l].datasets()[d];
      const double times = dataset.epochs(std::llround(positions[l][d]));
      char text[64] = "made as it is read";
      if (times > 0) {
        std::snprintf(text, sizeof text, "read %.3g times", times);
      }
      std::printf("  %-46s %20s\n", dataset.name().c_str(), text);
    }
  }
}

} // namespace

int dry_run(const RunConfig& config, const std::optional<std::string>& resume) {
  // A plan of a run that could not start, or go on, would only delay the bad news.
  const Checkpoint checkpoint = find_checkpoint(RunFiles(config.output), resume);
  const ModelConfig model = resolve_model_config(config.model, checkpoint);
  const at::Device device = device_from_name(config.engine.device, "engine.device");
  RunConfig resolved = config;
  const RunData data = open_run_data(config, model, checkpoint);
  resolved.data.tokenizer = data.tokenizer_config;
  if (checkpoint) {
    const TrainerState saved = load_trainer_state(*checkpoint);
    resolved.engine =
        resume_engine(config.engine, engine_of_course(saved.config), engine_context(config, model));
    check_same_course(course_of_config(saved.config), course_of_config(write_config(resolved)));
  } else {
    resolved.engine = resolve_run_engine(config, model);
  }
  const RunEstimate estimate = estimate_run(resolved, model, processor_of(device));
  if (config.train.threads > 0) {
    at::set_num_threads(static_cast<int>(config.train.threads));
  }
  std::printf(
      "%s\n%s\n%s",
      write_config(resolved).c_str(),
      engine_line(resolved.engine, device).c_str(),
      to_text(estimate).c_str());
  print_data(config, data, segment_length_of(model));
  if (checkpoint) {
    std::printf("goes on from %s\n", checkpoint->c_str());
  }
  std::fflush(stdout);
  print_time(resolved, checkpoint, estimate, device);
  return 0;
}

void print_schema() {
  std::printf("%s\n", json_text(config_schema<RunConfig>()).c_str());
}

void print_keys() {
  std::printf("%s", help_text(list_keys<RunConfig>()).c_str());
}

} // namespace fcc::tools
