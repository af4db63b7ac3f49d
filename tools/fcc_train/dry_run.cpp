#include "fcc_train/dry_run.h"

#include <chrono>
#include <cstdio>

#include <ATen/Context.h>

#include "fcc/config/describe_config.h"
#include "fcc/config/write_config.h"
#include "fcc/train/estimate.h"
#include "fcc/train/trainer.h"

namespace fcc::tools {
namespace {

/// Steps above it are not run for a measurement: minutes on two CPU cores.
constexpr double kMostFlops = 1e12;

double seconds_a_token(const RunConfig& config) {
  Trainer trainer(config, make_trainer_parts(config));
  trainer.step(); // the first one allocates
  const std::int64_t tokens_before = trainer.state().tokens_seen;
  const auto start = std::chrono::steady_clock::now();
  while (!trainer.finished() &&
         std::chrono::steady_clock::now() - start < std::chrono::seconds(1)) {
    trainer.step();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const std::int64_t tokens = trainer.state().tokens_seen - tokens_before;
  return tokens > 0 ? seconds.count() / static_cast<double>(tokens) : 0.0;
}

void print_time(const RunConfig& config, const RunEstimate& estimate) {
  const RunEstimate::Stage& first = estimate.stages.front();
  const double flops = estimate.flops_per_token * first.tokens / static_cast<double>(first.steps);
  std::printf("time\n");
  const std::string& device = config.engine.device;
  const bool on_cpu = device == "cpu" || (device == "auto" && !at::globalContext().hasCUDA());
  if (flops > kMostFlops && on_cpu) {
    std::printf("  not measured: one step takes %.1e floating-point operations\n", flops);
    return;
  }
  const double seconds = seconds_a_token(config) * estimate.tokens();
  std::printf(
      "  about %.0f s for all steps, from the first stage's tokens/s (no validation, no saving)\n",
      seconds);
}

} // namespace

int dry_run(const RunConfig& config) {
  const RunEstimate estimate = estimate_run(config, resolve_model_config(config.model));
  std::printf("%s\n%s", write_config(config).c_str(), to_text(estimate).c_str());
  std::fflush(stdout);
  print_time(config, estimate);
  return 0;
}

void print_schema() {
  std::printf("%s\n", json_text(config_schema<RunConfig>()).c_str());
}

void print_keys() {
  std::printf("%s", help_text(list_keys<RunConfig>()).c_str());
}

} // namespace fcc::tools
